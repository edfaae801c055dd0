#include "agent/sandbox/seccomp_filter.h"

#include <asm/ioctls.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <system_error>

namespace atelier::agent {
namespace {

#if defined(__x86_64__)
constexpr uint32_t kArchitecture = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr uint32_t kArchitecture = AUDIT_ARCH_AARCH64;
#else
#error "seccomp: this processor's audit number is needed here"
#endif
constexpr uint32_t kX32Bit = 0x40000000;  // a second set of numbers for the same calls
constexpr uint32_t kNewTime = 0x80;       // CLONE_NEWTIME, not in older headers

// Numbers that older headers lack; the same on all architectures since 424.
constexpr uint32_t kOpenTree = 428, kMoveMount = 429, kFsopen = 430, kFsconfig = 431, kFsmount = 432,
                   kFspick = 433;
constexpr uint32_t kClone3 = 435, kOpenat2 = 437, kPidfdGetfd = 438, kMountSetattr = 442, kFchmodat2 = 452;
constexpr uint32_t kOpenTreeAttr = 467;
constexpr uint32_t kIoUringSetup = 425, kIoUringEnter = 426, kIoUringRegister = 427;

constexpr std::array kDenied = {
    // mounts and namespaces
    uint32_t{SYS_mount},
    uint32_t{SYS_umount2},
    uint32_t{SYS_pivot_root},
    uint32_t{SYS_chroot},
    kOpenTree,
    kMoveMount,
    kFsopen,
    kFsconfig,
    kFsmount,
    kFspick,
    kMountSetattr,
    kOpenTreeAttr,
    uint32_t{SYS_unshare},
    uint32_t{SYS_setns},
    // files by handle, past every path; watching whole file systems
    uint32_t{SYS_open_by_handle_at},
    uint32_t{SYS_name_to_handle_at},
    uint32_t{SYS_fanotify_init},
    // kernel interfaces
    kIoUringEnter,
    kIoUringRegister,
    uint32_t{SYS_bpf},
    uint32_t{SYS_perf_event_open},
    uint32_t{SYS_userfaultfd},
    uint32_t{SYS_keyctl},
    uint32_t{SYS_add_key},
    uint32_t{SYS_request_key},
    uint32_t{SYS_init_module},
    uint32_t{SYS_finit_module},
    uint32_t{SYS_delete_module},
    uint32_t{SYS_kexec_load},
    uint32_t{SYS_reboot},
    uint32_t{SYS_swapon},
    uint32_t{SYS_swapoff},
    uint32_t{SYS_acct},
    uint32_t{SYS_quotactl},
    uint32_t{SYS_syslog},
    uint32_t{SYS_vhangup},
    uint32_t{SYS_lookup_dcookie},
    // the machine's name and clock
    uint32_t{SYS_sethostname},
    uint32_t{SYS_setdomainname},
    uint32_t{SYS_settimeofday},
    uint32_t{SYS_clock_settime},
    uint32_t{SYS_adjtimex},
    uint32_t{SYS_clock_adjtime},
#if defined(__x86_64__)
    uint32_t{SYS_iopl},
    uint32_t{SYS_ioperm},
    uint32_t{SYS_kexec_file_load},
    uint32_t{SYS_modify_ldt},
    uint32_t{SYS_uselib},
    uint32_t{SYS__sysctl},
#endif
};

constexpr std::array kProcessReach = {
    uint32_t{SYS_ptrace}, uint32_t{SYS_process_vm_readv}, uint32_t{SYS_process_vm_writev},
    uint32_t{SYS_kcmp},   uint32_t{SYS_process_madvise},  kPidfdGetfd};

constexpr uint32_t kNamespaceFlags = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC |
                                     CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET | kNewTime;

constexpr uint32_t low_half(size_t argument) {
  // Little-endian: the lower 32 bits come first.
  return static_cast<uint32_t>(offsetof(seccomp_data, args) + argument * sizeof(uint64_t));
}

// A program of rules that each look at one call and either answer or fall through to the next.
class Program {
 public:
  void add(sock_filter instruction) { code_.push_back(instruction); }
  void load(uint32_t offset) { add(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offset)); }
  void answer(uint32_t what) { add(BPF_STMT(BPF_RET | BPF_K, what)); }
  static uint32_t error(int number) { return SECCOMP_RET_ERRNO | static_cast<uint32_t>(number); }

  void deny(uint32_t call, int number = EPERM) {
    add(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1));
    answer(error(number));
  }

  // A block of instructions for one call, which ends with the call's number loaded again.
  template <class Body>
  void when(uint32_t call, Body body) {
    const size_t jump = code_.size();
    add(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 0));
    body();
    load(offsetof(seccomp_data, nr));
    code_[jump].jf = static_cast<uint8_t>(code_.size() - jump - 1);
  }
  // Inside a block, with an argument loaded.
  void deny_if_bits(uint32_t bits, int number = EPERM) {
    add(BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, bits, 0, 1));
    answer(error(number));
  }
  void deny_if_equal(uint32_t value, int number = EPERM) {
    add(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1));
    answer(error(number));
  }
  void allow_if_equal(uint32_t value) {
    add(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1));
    answer(SECCOMP_RET_ALLOW);
  }

  std::vector<sock_filter> take() { return std::move(code_); }

 private:
  std::vector<sock_filter> code_;
};

// A file with a set-user-ID bit outlives the sandbox and runs as its owner for whoever calls it.
void add_mode_rules(Program& program) {
  const auto mode_at = [&program](uint32_t call, size_t argument) {
    program.when(call, [&] {
      program.load(low_half(argument));
      program.deny_if_bits(S_ISUID | S_ISGID);
    });
  };
  mode_at(SYS_fchmod, 1);
  mode_at(SYS_fchmodat, 2);
  mode_at(kFchmodat2, 2);
  // Where no file is made the mode is whatever the register holds.
  const auto open_mode_at = [&program](uint32_t call, size_t flags) {
    program.when(call, [&] {
      program.load(low_half(flags));
      program.add(BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, O_CREAT | (O_TMPFILE & ~O_DIRECTORY), 0, 3));
      program.load(low_half(flags + 1));
      program.deny_if_bits(S_ISUID | S_ISGID);
    });
  };
  open_mode_at(SYS_openat, 2);
  // Modes and device types of mknod share an argument; FIFOs, sockets and files are fine.
  const auto node_at = [&program](uint32_t call, size_t argument) {
    program.when(call, [&] {
      program.load(low_half(argument));
      program.deny_if_bits(S_ISUID | S_ISGID);
      program.add(BPF_STMT(BPF_ALU | BPF_AND | BPF_K, S_IFMT));
      program.deny_if_equal(S_IFCHR);
      program.deny_if_equal(S_IFBLK);
    });
  };
  node_at(SYS_mknodat, 2);
#if defined(__x86_64__)
  mode_at(SYS_chmod, 1);
  mode_at(SYS_creat, 1);
  open_mode_at(SYS_open, 1);
  node_at(SYS_mknod, 1);
#endif
}

void add_socket_rules(Program& program, const SeccompOptions& options) {
  program.when(SYS_socket, [&] {
    program.load(low_half(0));
    if (options.local_sockets) program.allow_if_equal(AF_UNIX);
    if (options.internet) {
      program.allow_if_equal(AF_INET);
      program.allow_if_equal(AF_INET6);
      // Of netlink only routing, protocol 0: which addresses there are.
      program.add(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_NETLINK, 0, 3));
      program.load(low_half(2));
      program.allow_if_equal(0);
      program.load(low_half(0));
    }
    program.answer(Program::error(EACCES));
  });
  program.when(SYS_socketpair, [&] {
    program.load(low_half(0));
    program.allow_if_equal(AF_UNIX);
    program.answer(Program::error(EACCES));
  });
}

}  // namespace

std::vector<sock_filter> seccomp_program(const SeccompOptions& options) {
  Program program;
  program.load(offsetof(seccomp_data, arch));
  program.add(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kArchitecture, 1, 0));
  program.answer(SECCOMP_RET_KILL_PROCESS);
  program.load(offsetof(seccomp_data, nr));
#if defined(__x86_64__)
  program.add(BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, kX32Bit, 0, 1));
  program.answer(Program::error(ENOSYS));
#endif
  for (const uint32_t call : kDenied) program.deny(call);
  if (!options.reach_processes)
    for (const uint32_t call : kProcessReach) program.deny(call);
  // Their arguments lie in memory, which can change after it was looked at: callers fall back.
  for (const uint32_t call : {kClone3, kOpenat2, kIoUringSetup}) program.deny(call, ENOSYS);
  program.when(SYS_clone, [&] {
    program.load(low_half(0));
    program.deny_if_bits(kNamespaceFlags);
  });
  add_socket_rules(program, options);
  add_mode_rules(program);
  program.when(SYS_ioctl, [&] {
    program.load(low_half(1));
    program.deny_if_equal(TIOCSTI);
    program.deny_if_equal(TIOCLINUX);
  });
  program.when(SYS_personality, [&] {
    constexpr uint32_t kAsk = 0xffffffff, kNoRandom = 0x0040000, kLinux32 = 0x0008;
    program.load(low_half(0));
    for (const uint32_t harmless : {uint32_t{0}, kAsk, kNoRandom, kLinux32}) program.allow_if_equal(harmless);
    program.answer(Program::error(EPERM));
  });
  program.answer(SECCOMP_RET_ALLOW);
  return program.take();
}

Status apply_seccomp(const SeccompOptions& options) {
  std::vector<sock_filter> code = seccomp_program(options);
  const sock_fprog program{static_cast<unsigned short>(code.size()), code.data()};
  // Programs here are not each other's enemies more than elsewhere: no slower speculation for all of them.
  if (::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, &program) != 0)
    return fail(ErrorCode::kUnsupported, "seccomp: {}", std::generic_category().message(errno));
  return {};
}

}  // namespace atelier::agent
