#include <gtest/gtest.h>

#include "engine/generate.h"

namespace atelier {
namespace {

// Feeds `text` in pieces of `step` bytes; returns what was shown and whether it stopped.
std::pair<std::string, bool> filter(std::vector<std::string> stops, std::string_view text, size_t step) {
  StopStringFilter filter(std::move(stops));
  std::string shown;
  for (size_t i = 0; i < text.size() && !filter.stopped(); i += step)
    shown += filter.push(text.substr(i, step));
  shown += filter.finish();
  return {shown, filter.stopped()};
}

TEST(StopStringFilter, CutsBeforeTheFirstStopHoweverTheTextArrives) {
  const std::string text = "Hello world\nUser: and more";
  for (size_t step = 1; step <= text.size(); ++step) {
    EXPECT_EQ(filter({"\nUser:"}, text, step), std::pair(std::string("Hello world"), true)) << step;
    EXPECT_EQ(filter({"zzz", "wor"}, text, step), std::pair(std::string("Hello "), true)) << step;
    EXPECT_EQ(filter({"\nUser: nobody"}, text, step), std::pair(text, false)) << step;
    EXPECT_EQ(filter({}, text, step), std::pair(text, false)) << step;
    EXPECT_EQ(filter({""}, text, step), std::pair(text, false)) << step;
  }
}

TEST(StopStringFilter, HoldsBackOnlyWhatCouldBeAStop) {
  StopStringFilter filter({"aab"});
  EXPECT_EQ(filter.push("xa"), "x");
  EXPECT_EQ(filter.push("a"), "");
  EXPECT_EQ(filter.push("a"), "a");  // "aa" may still become "aab"
  EXPECT_EQ(filter.push("c"), "aac");
  EXPECT_FALSE(filter.stopped());
}

}  // namespace
}  // namespace atelier
