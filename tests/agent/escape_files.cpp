// Attempts at files: outside the workspace, at what is protected in it, at secrets.
#include <fstream>

#include "tests/agent/escape_world.h"

namespace atelier::agent {
namespace {

using Witness = std::function<bool(World&)>;

// Witnesses: each looks at the file system from outside.
Witness appears(const std::string& path) {
  return [path](World& world) { return World::exists(world.expanded(path)); };
}
Witness vanishes(const std::string& path) {
  return [path](World& world) { return !World::exists(world.expanded(path)); };
}
Witness holds(const std::string& path, const std::string& text) {
  return [=](World& world) { return world.read(world.expanded(path)).find(text) != std::string::npos; };
}
Witness holds_no(const std::string& path, const std::string& text) {
  return [=](World& world) { return world.read(world.expanded(path)).find(text) == std::string::npos; };
}
Witness has_mode(const std::string& path, mode_t mode) {
  return [=](World& world) {
    struct stat info{};
    return ::lstat(world.expanded(path).c_str(), &info) == 0 && (info.st_mode & 07777) == mode;
  };
}
Witness has_time(const std::string& path, time_t seconds) {
  return [=](World& world) {
    struct stat info{};
    return ::lstat(world.expanded(path).c_str(), &info) == 0 && info.st_mtim.tv_sec == seconds;
  };
}
Witness looted() {
  return [](World& world) { return world.loot().find("S3CRET") != std::string::npos; };
}

}  // namespace

Category write_attempts() {
  constexpr SandboxMode kReadOnly = SandboxMode::kReadOnly;
  return {
      "write",
      40,
      {
          {"redirect", "echo escaped > @O/new", appears("@O/new")},
          {"append", "echo escaped >> @O/o.txt", holds("@O/o.txt", "escaped")},
          {"copy over", "cp w.txt @O/o.txt", holds("@O/o.txt", "work")},
          {"remove", "rm -f @O/o.txt", vanishes("@O/o.txt")},
          {"rename", "mv @O/o.txt @O/moved", appears("@O/moved")},
          {"make folder", "mkdir @O/folder", appears("@O/folder")},
          {"remove folder", "rmdir @O/empty", vanishes("@O/empty")},
          {"remove tree", "rm -rf @O/d", vanishes("@O/d")},
          {"symbolic link", "ln -s x @O/link", appears("@O/link")},
          {"hard link", "ln @O/o.txt @O/hard", appears("@O/hard")},
          {"through a hard link", "ln @O/o.txt hard && echo escaped > hard", holds("@O/o.txt", "escaped")},
          {"truncate by path", "@X truncate @O/o.txt", holds_no("@O/o.txt", "original")},
          {"mode", "chmod 0604 @O/o.txt", has_mode("@O/o.txt", 0604), {.open_in_b = true}},
          {"folder mode", "chmod 0705 @O/d", has_mode("@O/d", 0705), {.open_in_b = true}},
          {"times", "touch -d @1000 @O/o.txt", has_time("@O/o.txt", 1000), {.open_in_b = true}},
          {"move out", "mv w.txt @O/taken", appears("@O/taken")},
          {"move in", "mv @O/o.txt stolen", vanishes("@O/o.txt")},
          {"through a link to a file", "ln -s @O/o.txt l; echo escaped > l", holds("@O/o.txt", "escaped")},
          {"through a link to a folder", "ln -s @O l; echo escaped > l/new", appears("@O/new")},
          {"upwards", "echo escaped > ../outside/new", appears("@O/new")},
          {"by the process's root", "echo escaped > /proc/self/root@O/new", appears("@O/new")},
          {"by the process's folder", "echo escaped > /proc/self/cwd/../outside/new", appears("@O/new")},
          {"dd", "dd if=w.txt of=@O/new status=none", appears("@O/new")},
          {"make a FIFO", "mkfifo @O/pipe", appears("@O/pipe")},
          {"a file without a name", "@X temporary_link @O @O/new", appears("@O/new")},
          {"exchange names", "@X exchange @W/w.txt @O/o.txt", holds("@O/o.txt", "work")},
          {"shared mapping", "@X map_and_write @O/o.txt escaped", holds("@O/o.txt", "escaped")},
          {"open again to write", "@X reopen @O/o.txt escaped", holds("@O/o.txt", "escaped")},
          {"beneath a handle of the root", "@X from_root @O/new escaped", appears("@O/new")},
          {"archive with absolute names",
           "mkdir x; echo escaped > x/f; tar -cPf t.tar --transform 's,x/f,@O/new,' x/f; tar -xPf t.tar",
           appears("@O/new")},
          {"shell startup file", "echo escaped >> @H/.bashrc", holds("@H/.bashrc", "escaped")},
          {"login file", "echo escaped > @H/.profile", appears("@H/.profile")},
          {"desktop startup", "mkdir -p @H/.config/autostart; echo escaped > @H/.config/autostart/x.desktop",
           appears("@H/.config/autostart/x.desktop")},
          {"program in the user's path", "mkdir -p @H/.local/bin; echo escaped > @H/.local/bin/ls",
           appears("@H/.local/bin/ls")},
          {"git configuration", "echo escaped > @H/.gitconfig", appears("@H/.gitconfig")},
          {"the real /tmp", "echo escaped > /tmp/@R", appears("/tmp/@R")},
          {"the real /var/tmp", "echo escaped > /var/tmp/@R", appears("/var/tmp/@R")},
          {"the real /dev/shm", "echo escaped > /dev/shm/@R", appears("/dev/shm/@R")},
          {"a read-only workspace", "echo escaped > new", appears("@W/new"), {.mode = kReadOnly}},
          {"remove in a read-only workspace", "rm -f w.txt", vanishes("@W/w.txt"), {.mode = kReadOnly}},
      }};
}

Category protected_attempts() {
  return {
      "protected paths",
      36,
      {
          {"new hook", "echo escaped > .git/hooks/pre-commit", appears("@W/.git/hooks/pre-commit")},
          {"configuration", "echo escaped >> .git/config", holds("@W/.git/config", "escaped")},
          {"head", "echo escaped > .git/HEAD", holds("@W/.git/HEAD", "escaped")},
          {"index", "echo escaped > .git/index", holds("@W/.git/index", "escaped")},
          {"new branch", "echo escaped > .git/refs/heads/new", appears("@W/.git/refs/heads/new")},
          {"new object", "mkdir .git/objects/00", appears("@W/.git/objects/00")},
          {"attributes", "echo escaped > .git/info/attributes", appears("@W/.git/info/attributes")},
          {"remove", "rm -rf .git", vanishes("@W/.git/config")},
          {"remove a file", "rm -f .git/config", vanishes("@W/.git/config")},
          {"rename", "mv .git old", vanishes("@W/.git/config")},
          {"replace", "mv .git old; mkdir -p .git/hooks; echo escaped > .git/hooks/x",
           appears("@W/.git/hooks/x")},
          {"by another name", "ln -s .git g; echo escaped > g/hooks/x", appears("@W/.git/hooks/x")},
          {"by a hard link", "ln .git/config c; echo escaped >> c", holds("@W/.git/config", "escaped")},
          {"mode",
           "chmod 0755 .git/hooks/sample",
           has_mode("@W/.git/hooks/sample", 0755),
           {.open_in_b = true}},
          {"times", "touch -d @1000 .git/config", has_time("@W/.git/config", 1000), {.open_in_b = true}},
          {"truncate", "@X truncate @W/.git/config", holds_no("@W/.git/config", "core")},
          {"from inside", "cd .git/hooks && echo escaped > x", appears("@W/.git/hooks/x")},
          {"by the process's folder", "echo escaped > /proc/self/cwd/.git/hooks/x",
           appears("@W/.git/hooks/x")},
          {"git itself", "git config core.fsmonitor ./evil", holds("@W/.git/config", "fsmonitor")},
          {"nested repository", "echo escaped > sub/.git/hooks/x", appears("@W/sub/.git/hooks/x")},
          {"replace the folder of a nested one",
           "mv sub old; mkdir -p sub/.git/hooks; echo escaped > sub/.git/hooks/x",
           appears("@W/sub/.git/hooks/x")},
          {"where a .git file points", "echo escaped >> store/lib/config",
           holds("@W/store/lib/config", "escaped")},
          {"a .git file", "echo 'gitdir: ../evil' > lib/.git", holds("@W/lib/.git", "evil")},
          {"remove a .git file", "rm -f lib/.git", vanishes("@W/lib/.git")},
          {"our own configuration", "mkdir -p .atelier; echo escaped > .atelier/config.json",
           appears("@W/.atelier/config.json")},
          {"servers, absent", "echo escaped > .mcp.json", holds("@W/.mcp.json", "escaped")},
          {"servers, moved there", "mv evil.json .mcp.json", holds("@W/.mcp.json", "evil")},
          {"servers, linked there", "ln -s evil.json .mcp.json", holds("@W/.mcp.json", "evil")},
          {"direnv, absent", "echo escaped > .envrc", holds("@W/.envrc", "escaped")},
          {"editor tasks", "echo escaped > .vscode/tasks.json", holds("@W/.vscode/tasks.json", "escaped")},
          {"editor tasks replaced", "rm -rf .vscode; mkdir .vscode; echo escaped > .vscode/x.json",
           appears("@W/.vscode/x.json")},
          {"husky, absent", "mkdir -p .husky; echo escaped > .husky/pre-commit",
           appears("@W/.husky/pre-commit")},
          {"another writable folder's", "echo escaped > @E/.git/hooks/x", appears("@E/.git/hooks/x")},
          {"unmount", "@X unmount_and_write @W/.git @W/.git/config", holds("@W/.git/config", "escaped")},
          {"remount", "@X remount_and_write @W/.git @W/.git/config", holds("@W/.git/config", "escaped")},
          {"unmount in a namespace of its own", "@X own_namespace_and_write @W/.git @W/.git/config",
           holds("@W/.git/config", "escaped")},
      }};
}

Category secret_attempts() {
  return {"secrets",
          20,
          {
              {"ssh key", "cat @H/.ssh/id_ed25519 > loot", looted()},
              {"ssh names", "ls @H/.ssh > loot", looted()},
              {"gnupg", "cat @H/.gnupg/private-keys-v1.d/k > loot", looted()},
              {"aws", "cat @H/.aws/credentials > loot", looted()},
              {"netrc", "cat @H/.netrc > loot", looted()},
              {"git credentials", "cat @H/.git-credentials > loot", looted()},
              {"github", "cat @H/.config/gh/hosts.yml > loot", looted()},
              {"docker", "cat @H/.docker/config.json > loot", looted()},
              {"kubernetes", "cat @H/.kube/config > loot", looted()},
              {"npm", "cat @H/.npmrc > loot", looted()},
              {"history", "cat @H/.bash_history > loot", looted()},
              {"cloud", "cat @H/.config/gcloud/credentials.db > loot", looted()},
              {"browser", "cat @H/.mozilla/cookies.sqlite > loot", looted()},
              {"keyring", "cat @H/.local/share/keyrings/login.keyring > loot", looted()},
              {"our own keys", "cat @H/.config/atelier/keys > loot", looted()},
              {"what the user named", "cat @K/key > loot", looted()},
              {"through a link", "ln -s @H/.ssh s; cat s/id_ed25519 > loot", looted()},
              {"by the process's root", "cat /proc/self/root@H/.ssh/id_ed25519 > loot", looted()},
              {"beneath a handle of the root", "@X read_from_root @H/.ssh/id_ed25519 @W/loot", looted()},
              {"by another process's root", "cat /proc/@PID/root@H/.ssh/id_ed25519 > loot", looted()},
          }};
}

}  // namespace atelier::agent
