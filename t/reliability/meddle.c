/*
 * meddle: runs a command and meddles with one of its system calls that change files.
 *
 *   meddle [-l FILE] [-o NAME,NAME...] [-n N] [-a ACTION] [-f] [--] COMMAND...
 *
 *   -l FILE    writes there how many calls there were and their names, one a line
 *   -o NAMES   counts only calls of these names
 *   -n N       meddles with call number N, from 1; calls of all threads are counted together, in the order in which
 *              they are made
 *   -a ACTION  kill: SIGKILL, before the call takes effect
 *              short: a write of half its bytes, which is really done
 *              EIO, ENOSPC, EDQUOT, EINTR, EROFS: the call is not made and fails so
 *   -f         errors: this call and all later ones
 *
 * Ends as the command ends; 128 + the signal where one ended it.
 *
 * Why not strace: it counts the calls of each thread apart and by name, so that most moments of a program with several
 * threads are out of its reach; and a short write that it pretends writes nothing. Here a seccomp filter stops the calls
 * that matter and no others, so that the program runs at nearly its own speed.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/fs.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef __x86_64__
#error "registers are known of x86-64 alone"
#endif

static const struct {
    const char *name;
    int number;
} calls[] = {
#define CALL(name) {#name, SYS_##name}
    CALL(open),      CALL(openat),   CALL(openat2),   CALL(creat),    CALL(mkdir),     CALL(mkdirat),
    CALL(mknod),     CALL(mknodat),  CALL(write),     CALL(pwrite64), CALL(writev),    CALL(pwritev),
    CALL(pwritev2),  CALL(truncate), CALL(ftruncate), CALL(fallocate), CALL(rename),   CALL(renameat),
    CALL(renameat2), CALL(link),     CALL(linkat),    CALL(symlink),  CALL(symlinkat), CALL(unlink),
    CALL(unlinkat),  CALL(rmdir),    CALL(fsync),     CALL(fdatasync), CALL(copy_file_range), CALL(sendfile),
    CALL(fchmod),    CALL(fchmodat), CALL(fchown),    CALL(fchownat), CALL(lchown),    CALL(utimensat),
    CALL(setxattr),  CALL(lsetxattr), CALL(fsetxattr), CALL(ioctl),
};
#define CALLS (sizeof calls / sizeof calls[0])

static const struct {
    const char *name;
    int number;
} errors[] = {{"EIO", EIO}, {"ENOSPC", ENOSPC}, {"EDQUOT", EDQUOT}, {"EINTR", EINTR}, {"EROFS", EROFS}};

static void die(const char *what) {
    fprintf(stderr, "meddle: %s: %s\n", what, strerror(errno));
    exit(125);
}

/* In the child: stops every call of the list, and no other. */
static void install_filter(void) {
    struct sock_filter filter[2 * CALLS + 2];
    size_t at = 0;
    filter[at++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (size_t i = 0; i < CALLS; i++) {
        filter[at++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, calls[i].number, 0, 1);
        filter[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE);
    }
    filter[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    struct sock_fprog program = {.len = at, .filter = filter};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
        die("seccomp");
}

/* Whether a descriptor is a file, not a pipe, a terminal or what the program says to people. */
static int is_file(pid_t pid, unsigned long fd) {
    char path[64], target[4096];
    if ((int)fd <= 2)
        return 0;
    snprintf(path, sizeof path, "/proc/%d/fd/%d", pid, (int)fd);
    ssize_t length = readlink(path, target, sizeof target - 1);
    if (length <= 0)
        return 0;
    target[length] = 0;
    return target[0] == '/' && (strncmp(target, "/dev/", 5) != 0 || !strncmp(target, "/dev/shm/", 9));
}

/* The name of a call that changes files; NULL for others. */
static const char *name_of(pid_t pid, const struct user_regs_struct *regs) {
    switch (regs->orig_rax) {
    case SYS_open:
        if (!(regs->rsi & (O_CREAT | O_TRUNC)))
            return NULL;
        break;
    case SYS_openat:
        if (!(regs->rdx & (O_CREAT | O_TRUNC)))
            return NULL;
        break;
    case SYS_openat2: {
        /* The first member of struct open_how. */
        errno = 0;
        long flags = ptrace(PTRACE_PEEKDATA, pid, regs->rdx, 0);
        if (errno || !(flags & (O_CREAT | O_TRUNC)))
            return NULL;
        break;
    }
    case SYS_write:
    case SYS_writev:
    case SYS_pwrite64:
    case SYS_pwritev:
    case SYS_pwritev2:
        if (!is_file(pid, regs->rdi))
            return NULL;
        break;
    case SYS_ioctl:
        if (regs->rsi != FICLONE && regs->rsi != FICLONERANGE)
            return NULL;
        break;
    }
    for (size_t i = 0; i < CALLS; i++)
        if ((unsigned long long)calls[i].number == regs->orig_rax)
            return calls[i].name;
    return NULL;
}

static int is_among(const char *name, const char *names) {
    size_t length = strlen(name);
    for (const char *at = names; at && *at; at += *at == ',') {
        size_t this = strcspn(at, ",");
        if (this == length && !strncmp(at, name, length))
            return 1;
        at += this;
    }
    return !names;
}

struct plan {
    long number;
    int is_kill, is_short, error, goes_on;
    const char *only;
    FILE *list;
};

/* Lets a call write half of its bytes. A call leaves the register with the length as it was, and programs rely on it. */
static void write_half(pid_t pid, struct user_regs_struct regs) {
    unsigned long long length = regs.rdx;
    int status;
    regs.rdx /= 2;
    ptrace(PTRACE_SETREGS, pid, 0, &regs);
    ptrace(PTRACE_SYSCALL, pid, 0, 0);
    if (waitpid(pid, &status, __WALL) != pid || !WIFSTOPPED(status) || ptrace(PTRACE_GETREGS, pid, 0, &regs))
        return; /* It was killed meanwhile. */
    regs.rdx = length;
    ptrace(PTRACE_SETREGS, pid, 0, &regs);
}

/* Called where a thread is about to make a call of the list. */
static void look(pid_t pid, pid_t main_pid, long *count, const struct plan *plan) {
    struct user_regs_struct regs;
    if (ptrace(PTRACE_GETREGS, pid, 0, &regs))
        return; /* It was killed meanwhile. */
    const char *name = name_of(pid, &regs);
    if (!name || !is_among(name, plan->only))
        return;
    ++*count;
    if (plan->list)
        fprintf(plan->list, "%s\n", name);
    if (*count != plan->number && !(plan->goes_on && plan->number && *count > plan->number))
        return;
    if (plan->is_kill) {
        kill(main_pid, SIGKILL);
    } else if (plan->is_short) {
        if (strstr(name, "write") && !strstr(name, "writev") && regs.rdx > 1) {
            write_half(pid, regs);
        }
    } else if (plan->error) {
        regs.orig_rax = -1;
        regs.rax = -plan->error;
        ptrace(PTRACE_SETREGS, pid, 0, &regs);
    }
}

static int trace(pid_t main_pid, const struct plan *plan) {
    int status, result = 125;
    long count = 0;
    if (waitpid(main_pid, &status, __WALL) != main_pid || !WIFSTOPPED(status))
        die("start");
    long options = PTRACE_O_TRACESECCOMP | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK |
                   PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL;
    if (ptrace(PTRACE_SETOPTIONS, main_pid, 0, options))
        die("ptrace");
    ptrace(PTRACE_CONT, main_pid, 0, 0);
    for (;;) {
        pid_t pid = waitpid(-1, &status, __WALL);
        if (pid < 0) {
            if (errno == EINTR)
                continue;
            break;
        }
        if (WIFEXITED(status) || WIFSIGNALED(status)) {
            if (pid == main_pid)
                result = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
            continue;
        }
        int signal = WSTOPSIG(status);
        if (status >> 8 == (SIGTRAP | PTRACE_EVENT_SECCOMP << 8))
            look(pid, main_pid, &count, plan);
        /* Stops of ptrace's own, and the one that a new thread begins with, are not for the program. */
        int is_own = status >> 16 || signal == SIGSTOP || signal == SIGTRAP;
        ptrace(PTRACE_CONT, pid, 0, is_own ? 0 : signal);
    }
    if (plan->list)
        fprintf(plan->list, "%ld calls\n", count);
    return result;
}

int main(int argc, char **argv) {
    struct plan plan = {0};
    int option;
    while ((option = getopt(argc, argv, "+l:o:n:a:f")) != -1) {
        switch (option) {
        case 'l':
            plan.list = fopen(optarg, "we");
            if (!plan.list)
                die(optarg);
            break;
        case 'o':
            plan.only = optarg;
            break;
        case 'n':
            plan.number = atol(optarg);
            break;
        case 'f':
            plan.goes_on = 1;
            break;
        case 'a':
            plan.is_kill = !strcmp(optarg, "kill");
            plan.is_short = !strcmp(optarg, "short");
            for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++)
                if (!strcmp(optarg, errors[i].name))
                    plan.error = errors[i].number;
            if (!plan.is_kill && !plan.is_short && !plan.error) {
                fprintf(stderr, "meddle: unknown action %s\n", optarg);
                return 125;
            }
            break;
        default:
            return 125;
        }
    }
    if (optind == argc) {
        fprintf(stderr, "usage: meddle [-l FILE] [-o NAMES] [-n N] [-a ACTION] [-f] [--] COMMAND...\n");
        return 125;
    }
    pid_t pid = fork();
    if (pid < 0)
        die("fork");
    if (pid == 0) {
        if (ptrace(PTRACE_TRACEME, 0, 0, 0))
            die("ptrace");
        raise(SIGSTOP);
        install_filter();
        execvp(argv[optind], argv + optind);
        die(argv[optind]);
    }
    int result = trace(pid, &plan);
    if (plan.list && fclose(plan.list))
        die("list");
    return result;
}
