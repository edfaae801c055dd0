#include "agent/sandbox/mounts.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <optional>
#include <set>
#include <system_error>
#include <tuple>

#include "agent/sandbox/os_error.h"
#include "agent/workspace/paths.h"
#include "base/descriptor.h"

namespace atelier::agent {
namespace {

using Place = MountStep::Kind;

// The kernel's interface (linux/mount.h), spelt out: that header and the C library's sys/mount.h exclude each
// other in some versions, and older libraries lack the newer calls.
constexpr unsigned kMsRdonly = 1, kMsNosuid = 2, kMsNodev = 4, kMsNoexec = 8, kMsRemount = 32, kMsBind = 4096;
constexpr unsigned kMsRec = 16384, kMsPrivate = 1 << 18;
constexpr unsigned kOpenTreeClone = 1, kAtRecursive = 0x8000, kMoveMountFromEmptyPath = 4;
constexpr uint64_t kAttrRdonly = 1, kAttrNosuid = 2, kAttrNodev = 4;
constexpr long kOpenTreeCall = 428, kMoveMountCall = 429, kMountSetattrCall = 442;
struct MountAttributes {
  uint64_t set = 0, clear = 0, propagation = 0, user_namespace = 0;
};

int mount(const char* source, const char* target, const char* type, unsigned flags, const char* data) {
  return static_cast<int>(::syscall(SYS_mount, source, target, type, flags, data));
}

// A detached copy of what is mounted at `path` and below it.
Result<Descriptor> clone_tree(const std::string& path) {
  Descriptor fd(static_cast<int>(
      ::syscall(kOpenTreeCall, AT_FDCWD, path.c_str(), kOpenTreeClone | kAtRecursive | unsigned{O_CLOEXEC})));
  if (fd.get() < 0) return tl::unexpected<Error>(refused("open_tree " + path));
  return fd;
}

Status set_attributes(int fd, const char* path, uint64_t set) {
  MountAttributes attributes;
  attributes.set = set;
  const unsigned flags = kAtRecursive | (*path == '\0' ? unsigned{AT_EMPTY_PATH} : 0);
  if (::syscall(kMountSetattrCall, fd, path, flags, &attributes, sizeof attributes) != 0)
    return refused(std::string("mount_setattr ") + path);
  return {};
}

Status attach(const Descriptor& tree, const std::string& path) {
  if (::syscall(kMoveMountCall, tree.get(), "", AT_FDCWD, path.c_str(), kMoveMountFromEmptyPath) != 0)
    return refused("move_mount " + path);
  return {};
}

Status mount_temporary(const std::string& path, uint64_t bytes, const char* mode) {
  const std::string data =
      bytes > 0 ? fmt::format("mode={},size={}", mode, bytes) : fmt::format("mode={}", mode);
  if (mount("tmpfs", path.c_str(), "tmpfs", kMsNosuid | kMsNodev, data.c_str()) != 0)
    return refused("mount tmpfs on " + path);
  return {};
}

Status make_file(const std::string& path) {
  const Descriptor fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644));
  return fd.get() >= 0 ? Status() : refused("create " + path);
}

constexpr std::array kHarmlessDevices = {"null", "zero", "full", "random", "urandom", "tty"};

class MountMaker {
 public:
  explicit MountMaker(const LaunchSpec& spec) : spec_(spec), steps_(plan_mounts(spec)) {}

  Status make() {
    if (mount(nullptr, "/", nullptr, kMsRec | kMsPrivate, nullptr) != 0) return refused("mount / private");
    ATELIER_CHECK_OK(take_sources());
    // Before everything turns read-only: the kernel gives a new /proc only where the old one is fully
    // visible.
    if (mount("proc", "/proc", "proc", kMsNosuid | kMsNodev | kMsNoexec, nullptr) != 0)
      return refused("mount proc");
    ATELIER_CHECK_OK(set_attributes(AT_FDCWD, "/", kAttrRdonly | kAttrNosuid | kAttrNodev));
    for (size_t i = 0; i < steps_.size(); ++i) ATELIER_CHECK_OK(make_step(i));
    for (const std::string& path : to_close_)
      if (mount(nullptr, path.c_str(), nullptr, kMsRemount | kMsBind | kMsRdonly | kMsNosuid | kMsNodev,
                nullptr) != 0)
        return refused("remount " + path);
    return {};
  }

 private:
  // Copies of everything that will be shown elsewhere or again, before any of it is covered.
  Status take_sources() {
    for (const MountStep& step : steps_) {
      sources_.emplace_back();
      if (step.kind != Place::kReadOnly && step.kind != Place::kWritable) continue;
      auto tree = clone_tree(step.source.empty() ? step.path : step.source);
      if (!tree && errno == ENOENT) continue;  // nothing there to show
      if (!tree) return tl::unexpected<Error>(std::move(tree).error());
      const uint64_t attributes =
          kAttrNosuid | kAttrNodev | (step.kind == Place::kReadOnly ? kAttrRdonly : 0);
      ATELIER_CHECK_OK(set_attributes(tree->get(), "", attributes));
      struct stat info{};
      if (::fstat(tree->get(), &info) != 0) return refused("fstat " + step.path);
      sources_.back() = Source{std::move(*tree), S_ISDIR(info.st_mode)};
    }
    for (const char* device : kHarmlessDevices) {
      auto tree = clone_tree(std::string("/dev/") + device);
      if (tree) devices_.push_back({device, std::move(*tree)});
    }
    if (devices_.empty() || devices_[0].name != "null") return refused("open /dev/null", ENOENT);
    ATELIER_TRY(empty_file_, clone_tree("/dev/null"));
    return {};
  }

  Status make_step(size_t i) {
    const MountStep& step = steps_[i];
    switch (step.kind) {
      case Place::kProcesses:
        return {};
      case Place::kDevices:
        return make_devices();
      case Place::kTemporary:
        if (::access(step.path.c_str(), F_OK) != 0) return {};
        return mount_temporary(step.path, spec_.temporary_bytes, "1777");
      case Place::kEmpty:
        return make_empty(step.path);
      case Place::kReadOnly:
      case Place::kWritable:
        if (!sources_[i]) return {};
        ATELIER_CHECK_OK(make_place(step.path, sources_[i]->is_folder));
        return attach(sources_[i]->tree, step.path);
    }
    return {};
  }

  Status make_empty(const std::string& path) {
    struct stat info{};
    if (::stat(path.c_str(), &info) != 0) return {};  // lies in something that is hidden already
    if (S_ISDIR(info.st_mode)) {
      ATELIER_CHECK_OK(mount_temporary(path, 0, "0755"));
      to_close_.push_back(path);
      return {};
    }
    ATELIER_TRY(const Descriptor tree, clone_tree("/dev/null"));
    ATELIER_CHECK_OK(set_attributes(tree.get(), "", kAttrRdonly | kAttrNosuid));
    return attach(tree, path);
  }

  // Something to mount on, where what was there has been covered by an empty folder.
  static Status make_place(const std::string& path, bool is_folder) {
    if (::access(path.c_str(), F_OK) == 0) return {};
    std::error_code code;
    std::filesystem::create_directories(
        is_folder ? std::filesystem::path(path) : std::filesystem::path(path).parent_path(), code);
    if (code) return refused("mkdir " + path, code.value());
    return is_folder ? Status() : make_file(path);
  }

  Status make_devices() {
    ATELIER_CHECK_OK(mount_temporary("/dev", 0, "0755"));
    for (const Device& device : devices_) {
      const std::string path = "/dev/" + device.name;
      ATELIER_CHECK_OK(make_file(path));
      ATELIER_CHECK_OK(attach(device.tree, path));
    }
    for (const char* folder : {"/dev/pts", "/dev/shm"})
      if (::mkdir(folder, 0755) != 0) return refused(std::string("mkdir ") + folder);
    if (mount("devpts", "/dev/pts", "devpts", kMsNosuid | kMsNoexec, "newinstance,ptmxmode=0666,mode=620") !=
        0)
      return refused("mount devpts");
    ATELIER_CHECK_OK(mount_temporary("/dev/shm", spec_.temporary_bytes, "1777"));
    constexpr std::array<std::array<const char*, 2>, 5> kLinks = {{{"/proc/self/fd", "/dev/fd"},
                                                                   {"/proc/self/fd/0", "/dev/stdin"},
                                                                   {"/proc/self/fd/1", "/dev/stdout"},
                                                                   {"/proc/self/fd/2", "/dev/stderr"},
                                                                   {"pts/ptmx", "/dev/ptmx"}}};
    for (const auto& [target, link] : kLinks)
      if (::symlink(target, link) != 0) return refused(std::string("symlink ") + link);
    to_close_.push_back("/dev");
    return {};
  }

  struct Source {
    Descriptor tree;
    bool is_folder;
  };
  struct Device {
    std::string name;
    Descriptor tree;
  };
  const LaunchSpec& spec_;
  std::vector<MountStep> steps_;
  std::vector<std::optional<Source>> sources_;  // one per step
  std::vector<Device> devices_;
  Descriptor empty_file_;
  std::vector<std::string> to_close_;  // temporary file systems that become read-only in the end
};

// The folders between a writable one and what is protected deeper in it. A folder on which something is
// mounted cannot be renamed or removed: else a command could move "sub" away, with its protected "sub/.git",
// and make another one in its place.
std::set<std::string> pinned_folders(const LaunchSpec& spec,
                                     const std::vector<std::string>& protected_paths) {
  std::set<std::string> pinned;
  for (const std::string& path : protected_paths)
    for (const std::string& root : spec.writable) {
      if (!lies_in(path, root)) continue;
      for (size_t slash = path.rfind('/'); slash > root.size(); slash = path.rfind('/', slash - 1))
        pinned.insert(path.substr(0, slash));
    }
  return pinned;
}

// Those that can be seen: what lies in something hidden stays so.
std::vector<std::string> visible_protected_paths(const LaunchSpec& spec) {
  const auto is_hidden = [&](const std::string& path) {
    return std::any_of(spec.hidden.begin(), spec.hidden.end(), [&](const std::string& hidden) {
      const auto shows = [&](const std::string& shown) {
        return lies_in(shown, hidden) && lies_in(path, shown);
      };
      return lies_in(path, hidden) && std::none_of(spec.readable.begin(), spec.readable.end(), shows) &&
             std::none_of(spec.writable.begin(), spec.writable.end(), shows);
    });
  };
  std::vector<std::string> visible = spec.protected_paths;
  std::erase_if(visible, is_hidden);
  return visible;
}

bool is_real_folder(const char* path) {
  struct stat info{};
  return ::lstat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

}  // namespace

std::vector<MountStep> plan_mounts(const LaunchSpec& spec) {
  std::vector<MountStep> steps = {{Place::kProcesses, "/proc", {}}, {Place::kDevices, "/dev", {}}};
  struct Placed {
    MountStep step;
    size_t depth;
    int rank;  // of lists at the same path
  };
  std::vector<Placed> placed;
  const auto place = [&placed](MountStep::Kind kind, const std::string& path, int rank,
                               const std::string& source = {}) {
    const auto depth = static_cast<size_t>(std::count(path.begin(), path.end(), '/'));
    placed.push_back({{kind, path, source}, depth, rank});
  };
  if (spec.scratch.empty()) {
    place(Place::kTemporary, "/tmp", 0);
  } else {
    place(Place::kWritable, "/tmp", 0, spec.scratch);
  }
  for (const char* folder : {"/var/tmp"})
    if (is_real_folder(folder)) place(Place::kTemporary, folder, 0);
  // Sockets of daemons: Docker, D-Bus, agents, displays.
  for (const char* folder : {"/run", "/var/run"})
    if (is_real_folder(folder)) place(Place::kEmpty, folder, 0);
  for (const std::string& path : spec.hidden) place(Place::kEmpty, path, 1);
  for (const std::string& path : spec.readable) place(Place::kReadOnly, path, 2);
  for (const std::string& path : spec.writable) place(Place::kWritable, path, 3);
  const std::vector<std::string> protected_paths = visible_protected_paths(spec);
  for (const std::string& path : protected_paths) place(Place::kReadOnly, path, 4);
  for (const std::string& path : pinned_folders(spec, protected_paths)) place(Place::kWritable, path, 3);
  std::sort(placed.begin(), placed.end(), [](const Placed& a, const Placed& b) {
    return std::tie(a.depth, a.rank, a.step.path) < std::tie(b.depth, b.rank, b.step.path);
  });
  for (Placed& one : placed) steps.push_back(std::move(one.step));
  return steps;
}

Status make_mounts(const LaunchSpec& spec) { return MountMaker(spec).make(); }

}  // namespace atelier::agent
