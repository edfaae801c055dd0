#include "io/hub/curl_api.h"

#include <dlfcn.h>

namespace atelier {
namespace {

constexpr const char* kLibrary = "libcurl.so.4";

// dlsym gives the address of a function as that of an object: POSIX makes the two the same.
template <class Function>
bool load(void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(::dlsym(library, name));
  return function != nullptr;
}

// The name of the first function that is missing, or nullptr.
const char* load_all(void* library, CurlApi& api) {
#define ATELIER_LOAD(name) \
  if (!load(library, "curl_" #name, api.name)) return "curl_" #name
  ATELIER_LOAD(global_init);
  ATELIER_LOAD(easy_init);
  ATELIER_LOAD(easy_cleanup);
  ATELIER_LOAD(easy_setopt);
  ATELIER_LOAD(easy_getinfo);
  ATELIER_LOAD(easy_strerror);
  ATELIER_LOAD(slist_append);
  ATELIER_LOAD(slist_free_all);
  ATELIER_LOAD(multi_init);
  ATELIER_LOAD(multi_cleanup);
  ATELIER_LOAD(multi_add_handle);
  ATELIER_LOAD(multi_remove_handle);
  ATELIER_LOAD(multi_perform);
  ATELIER_LOAD(multi_poll);
  ATELIER_LOAD(multi_info_read);
  ATELIER_LOAD(url);
  ATELIER_LOAD(url_cleanup);
  ATELIER_LOAD(url_set);
  ATELIER_LOAD(url_get);
  ATELIER_LOAD(free);
#undef ATELIER_LOAD
  return nullptr;
}

Result<CurlApi> load_curl() {
  void* library = ::dlopen(kLibrary, RTLD_NOW | RTLD_LOCAL);  // never closed: it may have started threads
  if (library == nullptr) {
    const char* why = ::dlerror();
    return fail(ErrorCode::kNotFound,
                "downloading needs {}, which could not be loaded: {} (install the package libcurl4)",
                kLibrary, why != nullptr ? why : "no reason given");
  }
  CurlApi api{};
  if (const char* missing = load_all(library, api))
    return fail(ErrorCode::kUnsupported, "{}: expected version 7.66 or newer, found no {}", kLibrary,
                missing);
  if (api.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
    return fail(ErrorCode::kIo, "{}: could not be initialised", kLibrary);
  return api;
}

}  // namespace

Result<const CurlApi*> curl_api() {
  static const Result<CurlApi> api = load_curl();
  if (!api) return tl::unexpected<Error>(api.error());
  return &*api;
}

}  // namespace atelier
