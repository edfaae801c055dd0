#include "agent/sandbox/policy.h"

#include <algorithm>
#include <array>
#include <set>
#include <string_view>

namespace atelier::agent {
namespace {

// Below the home folder. Folders are shown empty, files read as empty.
constexpr std::array kSecretsAtHome = {
    // keys
    ".ssh", ".gnupg", ".pki", ".password-store", ".local/share/keyrings", ".age", ".config/age",
    ".config/sops",
    // clouds and clusters
    ".aws", ".azure", ".config/gcloud", ".config/doctl", ".config/hcloud", ".config/rclone", ".config/op",
    ".kube", ".docker", ".config/containers", ".terraform.d/credentials.tfrc.json", ".vault-token", ".s3cfg",
    ".boto", ".oci", ".fly", ".config/heroku", ".databrickscfg", ".snowsql",
    // registries and forges
    ".netrc", ".git-credentials", ".config/git/credentials", ".config/gh", ".config/hub", ".config/glab-cli",
    ".npmrc", ".yarnrc.yml", ".pypirc", ".config/pip/pip.conf", ".pip/pip.conf", ".cargo/credentials",
    ".cargo/credentials.toml", ".gem/credentials", ".m2/settings.xml", ".gradle/gradle.properties",
    ".huggingface/token", ".cache/huggingface/token", ".kaggle", ".composer/auth.json",
    // databases
    ".pgpass", ".my.cnf", ".mongorc.js", ".redisclirc",
    // what was typed and visited
    ".bash_history", ".zsh_history", ".history", ".python_history", ".node_repl_history", ".psql_history",
    ".mysql_history", ".sqlite_history", ".rediscli_history", ".lesshst", ".viminfo", ".local/share/fish",
    ".mozilla", ".config/google-chrome", ".config/chromium", ".config/BraveSoftware", ".thunderbird",
    // our own configuration (keys of remote servers) and transcripts
    ".config/atelier", ".local/state/atelier"};

// Readable by the superuser only; hidden for when that is who runs the agent.
constexpr std::array kSecretsElsewhere = {"/etc/shadow",
                                          "/etc/shadow-",
                                          "/etc/gshadow",
                                          "/etc/gshadow-",
                                          "/etc/ssh/ssh_host_rsa_key",
                                          "/etc/ssh/ssh_host_ecdsa_key",
                                          "/etc/ssh/ssh_host_ed25519_key",
                                          "/etc/sudoers",
                                          "/etc/sudoers.d",
                                          "/etc/krb5.keytab",
                                          "/etc/ssl/private",
                                          "/etc/kubernetes",
                                          "/var/lib/docker",
                                          "/var/lib/kubelet",
                                          "/var/lib/private",
                                          "/var/spool/cron"};

// Say where things are or how to behave, and give nothing away. Exact names, or beginnings that end in "*".
constexpr std::array kHarmless = {"PATH",
                                  "HOME",
                                  "USER",
                                  "LOGNAME",
                                  "SHELL",
                                  "LANG",
                                  "LANGUAGE",
                                  "LC_*",
                                  "TZ",
                                  "COLUMNS",
                                  "LINES",
                                  "EDITOR",
                                  "CC",
                                  "CXX",
                                  "CPP",
                                  "AR",
                                  "LD",
                                  "CFLAGS",
                                  "CXXFLAGS",
                                  "CPPFLAGS",
                                  "LDFLAGS",
                                  "MAKEFLAGS",
                                  "CMAKE_GENERATOR",
                                  "CMAKE_PREFIX_PATH",
                                  "CMAKE_BUILD_PARALLEL_LEVEL",
                                  "PKG_CONFIG_PATH",
                                  "CCACHE_*",
                                  "GOPATH",
                                  "GOROOT",
                                  "GOFLAGS",
                                  "GOTOOLCHAIN",
                                  "GOPROXY",
                                  "CARGO_HOME",
                                  "RUSTUP_HOME",
                                  "RUSTUP_TOOLCHAIN",
                                  "RUST_BACKTRACE",
                                  "JAVA_HOME",
                                  "MAVEN_HOME",
                                  "GRADLE_HOME",
                                  "NVM_DIR",
                                  "NODE_PATH",
                                  "VOLTA_HOME",
                                  "PYENV_ROOT",
                                  "PYENV_VERSION",
                                  "VIRTUAL_ENV",
                                  "CONDA_PREFIX",
                                  "CONDA_DEFAULT_ENV",
                                  "PYTHONDONTWRITEBYTECODE",
                                  "PYTHONUNBUFFERED",
                                  "RBENV_ROOT",
                                  "GEM_HOME",
                                  "GEM_PATH",
                                  "PERL_LOCAL_LIB_ROOT",
                                  "OMP_NUM_THREADS",
                                  "CUDA_HOME",
                                  "CUDA_PATH",
                                  "CUDA_VISIBLE_DEVICES",
                                  "SOURCE_DATE_EPOCH",
                                  "CI",
                                  "NO_COLOR"};

// Nobody is there to page, to type a password or to see colours.
constexpr std::array kSet = {"TERM=dumb",
                             "PAGER=cat",
                             "GIT_PAGER=cat",
                             "GIT_TERMINAL_PROMPT=0",
                             "NO_COLOR=1",
                             "TMPDIR=/tmp",
                             "TMP=/tmp",
                             "TEMP=/tmp",
                             "XDG_CACHE_HOME=/tmp/.cache",
                             "DEBIAN_FRONTEND=noninteractive"};

bool matches(std::string_view name, std::string_view pattern) {
  if (!pattern.ends_with('*')) return name == pattern;
  return name.starts_with(pattern.substr(0, pattern.size() - 1));
}

// Relative entries, the empty one too, would run whatever lies in the current folder.
std::string absolute_entries(std::string_view path) {
  std::string kept;
  for (size_t at = 0; at <= path.size();) {
    const size_t end = std::min(path.find(':', at), path.size());
    const std::string_view entry = path.substr(at, end - at);
    if (entry.starts_with('/')) kept += (kept.empty() ? "" : ":") + std::string(entry);
    at = end + 1;
  }
  return kept.empty() ? "/usr/local/bin:/usr/bin:/bin" : kept;
}

}  // namespace

Result<SandboxMode> parse_sandbox_mode(std::string_view name) {
  for (const SandboxMode mode : {SandboxMode::kReadOnly, SandboxMode::kWorkspace, SandboxMode::kFull})
    if (name == sandbox_mode_name(mode)) return mode;
  return fail(ErrorCode::kInvalidArgument, "sandbox: expected read-only, workspace or full, found \"{}\"",
              name);
}

std::string_view sandbox_mode_name(SandboxMode mode) {
  switch (mode) {
    case SandboxMode::kReadOnly:
      return "read-only";
    case SandboxMode::kWorkspace:
      return "workspace";
    case SandboxMode::kFull:
      return "full";
  }
  return "";
}

const std::vector<std::string>& protected_names() {
  static const std::vector<std::string> names = {".git",    ".atelier", ".mcp.json",
                                                 ".vscode", ".envrc",   ".husky"};
  return names;
}

std::vector<std::string> secret_paths(const std::filesystem::path& home) {
  std::set<std::string> found;
  const auto add = [&found](const std::filesystem::path& path) {
    std::error_code code;
    const std::filesystem::path canonical = std::filesystem::canonical(path, code);
    if (!code && canonical != canonical.root_path()) found.insert(canonical.string());
  };
  if (!home.empty())
    for (const char* secret : kSecretsAtHome) add(home / secret);
  for (const char* secret : kSecretsElsewhere) add(secret);
  return {found.begin(), found.end()};
}

std::vector<std::string> sandbox_environment(const std::vector<std::string>& current,
                                             const std::vector<std::string>& more) {
  std::vector<std::string> environment;
  const auto is_set = [](std::string_view name) {
    return std::any_of(kSet.begin(), kSet.end(), [name](std::string_view entry) {
      return entry.starts_with(name) && entry[name.size()] == '=';
    });
  };
  for (const std::string& entry : current) {
    const size_t equals = entry.find('=');
    if (equals == std::string::npos || equals == 0) continue;
    const std::string_view name = std::string_view(entry).substr(0, equals);
    const bool wanted = std::find(more.begin(), more.end(), name) != more.end();
    const bool known = std::any_of(kHarmless.begin(), kHarmless.end(),
                                   [name](std::string_view pattern) { return matches(name, pattern); });
    if (!wanted && (!known || is_set(name))) continue;
    environment.push_back(name == "PATH" ? "PATH=" + absolute_entries(entry.substr(equals + 1)) : entry);
  }
  for (const char* entry : kSet)
    if (const std::string_view name = std::string_view(entry).substr(0, std::string_view(entry).find('='));
        std::find(more.begin(), more.end(), name) == more.end())
      environment.emplace_back(entry);
  const auto set_unless_there = [&environment](const std::string& name, std::string value) {
    if (std::none_of(environment.begin(), environment.end(),
                     [&](const std::string& entry) { return entry.starts_with(name + "="); }))
      environment.push_back(name + "=" + std::move(value));
  };
  set_unless_there("PATH", absolute_entries({}));
  // A shell without it asks the user database, over a socket where a name service daemon is configured.
  set_unless_there("SHELL", "/bin/sh");
  return environment;
}

}  // namespace atelier::agent
