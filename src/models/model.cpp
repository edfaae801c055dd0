#include "models/model.h"

namespace atelier {

void Model::pack(ThreadPool& pool) {
  for (Weight* weight : multiplied_weights()) weight->pack(pool);
}

}  // namespace atelier
