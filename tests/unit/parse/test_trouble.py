# SPDX-License-Identifier: GPL-2.0-only
"""What kernels of all ages say when something is wrong, and what is no trouble."""

import pytest

from harness.parse import dmesg, trouble
from harness.parse import outcome as outcomes

KINDS = {
    "panic": """
        Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)
        Kernel panic: VFS: Unable to mount root fs on 03:01
        ---[ end Kernel panic - not syncing: Attempted to kill init! exitcode=0x0000000b ]---
        PANIC: early exception 0x0e IP 10:ffffffff81b8a2c9 error 0 cr2 0xffffffffff240000
        traps: PANIC: double fault, error_code: 0x0
    """,
    "bad-page": """
        BUG: Bad page state in process swapper  pfn:00001
        BUG: Bad page map in process init  pte:800000 pmd:1
        Bad page state in process 'swapper'
    """,
    "oops": """
        BUG: unable to handle kernel NULL pointer dereference at 0000000000000038
        BUG: KASAN: slab-out-of-bounds in kmalloc_oob_right+0x2d/0x40
        BUG: KFENCE: use-after-free read in test_use_after_free_read+0x9e/0x110
        BUG: KMSAN: uninit-value in test_uninit_kmsan_check_memory+0x1f/0x30
        BUG: sleeping function called from invalid context at mm/slab.h:494
        BUG: scheduling while atomic: swapper/0/1/0x00000002
        BUG: Kernel NULL pointer dereference on read at 0x00000000
        BUG kmalloc-64: Poison overwritten
        BUG dentry (Tainted: G    B  ): Objects remaining in dentry on __kmem_cache_shutdown()
        kernel BUG at mm/page_alloc.c:1000!
        invalid opcode: 0000 [#1] PREEMPT SMP NOPTI
        general protection fault: 0000 [#2] SMP KASAN PTI
        double fault: 0000 [#1] SMP
        stack segment: 0000 [#1] SMP
        int3: 0000 [#1] SMP
        Oops: 0002 [#1] SMP
        Oops: general protection fault, probably for non-canonical address 0xdead: 0000 [#1] SMP
        Oops: divide error: 0000 [#1] SMP NOPTI
        Oops: 00000000
        Internal error: Oops: 96000006 [#1] PREEMPT SMP
        Internal error: Oops - undefined instruction: 0 [#1] SMP ARM
        Internal error: Oops - BUG: 00000000f2000800 [#1] SMP
        Internal error: : 1211 [#1] SMP THUMB2
        Unable to handle kernel paging request at virtual address dead000000000100
        Oops - illegal instruction [#1]
        Oops [#1]
        Kernel BUG [#1]
        CPU 3 Unable to handle kernel paging request at virtual address 0000000000000000, era == 9
        Oops[#1]:
        Kernel bug detected[#1]:
        Reserved instruction in kernel code[#1]:
        Unhandled kernel unaligned access[#1]:
        illegal operation: 0001 ilc:1 [#1] SMP
        specification exception: 0006 ilc:3 [#1] PREEMPT SMP
        Unable to handle kernel pointer dereference in virtual kernel address space
        Oops: Kernel access of bad area, sig: 11 [#1]
        Oops: Exception in kernel mode, sig: 5 [#1]
        Oops: Machine check, sig: 7 [#1]
        swapper/0(1): Oops [#1]
        swapper/0(1): Kernel bad sw trap 5 [#1]
        Kernel Fault: Code=15 (Data TLB miss fault) at addr 0000000000000000
        swapper(1): Oops 0
        swapper(1): Kernel Bug 1
        *** ADDRESS ERROR ***   FORMAT=b
        Oops: sig: 11 [#1] PREEMPT SMP
        Illegal instruction in kernel: sig: 9 [#1] PREEMPT
        swapper/0[1]: Oops 8813272891392 [1]
        Unhandled unaligned access: 0000 [#1]
        slab error in cache_free_debugcheck(): cache `size-64': double free detected
        Slab corruption: size-64 start=c1234560, len=64
        Bad mode in Error handler detected on CPU0, code 0xbf000002 -- SError
    """,
    "stalled": """
        BUG: soft lockup - CPU#0 stuck for 61s! [swapper:1]
        NMI watchdog: BUG: soft lockup - CPU#2 stuck for 22s! [kworker/2:1:57]
        watchdog: BUG: soft lockup - CPU#1 stuck for 26s! [swapper/1:0]
        watchdog: Watchdog detected hard LOCKUP on cpu 2
        NMI watchdog: Watchdog detected hard LOCKUP on cpu 3
        Watchdog detected hard LOCKUP on cpu 0
        watchdog: CPU 3 detected hard LOCKUP on other CPUs 1
        watchdog: CPU 0 Hard LOCKUP
        BUG: workqueue lockup - pool cpus=0 node=0 flags=0x0 nice=0 stuck for 30s!
        BUG: spinlock lockup suspected on CPU#0, swapper/0/1
        rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:
        rcu: INFO: rcu_sched self-detected stall on CPU
        INFO: rcu_sched_state detected stall on CPU 0 (t=6500 jiffies)
        INFO: rcu_bh self-detected stall on CPU { 1}  (t=2100 jiffies g=1 c=0 q=7)
        rcu: INFO: rcu_sched detected expedited stalls on CPUs/tasks: { 1-... } 3 jiffies s: 1
        INFO: rcu_tasks detected stalls on tasks:
        rcu: INFO: rcu_tasks_trace detected stalls on tasks:
        rcu: rcu_preempt kthread starved for 5252 jiffies! g-1147 f0x0 RCU_GP_WAIT_FQS(5)
        INFO: task swapper/0:1 blocked for more than 120 seconds.
        INFO: task kworker/u8:2:51 blocked in I/O wait for more than 143 seconds.
    """,
    "warning": """
        WARNING: CPU: 0 PID: 1 at mm/page_alloc.c:1 f+0x1/0x2
        WARNING: at kernel/sched.c:5000 f()
        WARNING: mm/slub.c:584 at f+0xe0/0xf4, CPU#7: kworker/u32:2/73
        WARNING: possible circular locking dependency detected
        WARNING: suspicious RCU usage
        [ INFO: possible recursive locking detected ]
        [ INFO: suspicious RCU usage. ]
        [ BUG: bad unlock balance detected! ]
        [ BUG: Invalid wait context ]
        INFO: trying to register non-static key.
        INFO: HARDIRQ-safe -> HARDIRQ-unsafe lock order detected
        BUG: MAX_LOCKDEP_CHAINS too low!
        UBSAN: array-index-out-of-bounds in drivers/x.c:1:2
        UBSAN: Undefined behaviour in mm/x.c:1:2
        swapper/0: page allocation failure: order:0, mode:0xcc0(GFP_KERNEL), nodemask=(null)
        kswapd0: page allocation failure. order:0, mode:0x20
        exe: page allocation stalls for 10012ms, order:0, mode:0x14200ca
        modprobe: vmalloc: allocation failure: 8192 bytes
        vmap allocation for size 8192 failed: use vmalloc=<size> to increase size
        SLUB: Unable to allocate memory on node -1, gfp=0xcc0(GFP_KERNEL)
        stress invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0
        Memory cgroup out of memory: Killed process 12 (x) total-vm:1kB
        Out of memory: Kill process 12 (x) score 9 or sacrifice child
        refcount_t: underflow; use-after-free.
        list_del corruption. prev->next should be ffff, but was ffff
        irq 16: nobody cared (try booting with the "irqpoll" option)
        Badness in kobject_get at lib/kobject.c:439
        kmemleak: 5 new suspected memory leaks (see /sys/kernel/debug/kmemleak)
        unregister_netdevice: waiting for lo to become free. Usage count = 1
        Unhandled fault: external abort on non-linefetch (0x008) at 0xf0000000
    """,
    "ok": """
        Oops: efitime: can't read time!
        rcu: RCU CPU stall warnings timeout set to 60 (rcu_cpu_stall_timeout).
        watchdog: Delayed init of the lockup detector failed: -19
        NMI watchdog: Enabled. Permanently consumes one hw-PMU counter.
        INFO: lockdep is turned off.
        INFO: NMI handler (perf_event_nmi_handler) took too long to run: 1.2 msecs
        ACPI BIOS Error (bug): Could not resolve symbol [_SB.PCI0], AE_NOT_FOUND
        [Firmware Bug]: TSC_DEADLINE disabled due to Errata
        traps: x[12] general protection fault ip:1 sp:2 error:0 in x[1+2]
        x[12]: segfault at 0 ip 1 sp 2 error 4 in x[1+2]
        usb 1-1: Unable to handle this device, BUG: none
        bug: this one is called bug
        workqueue: drain_vmap_area_work hogged CPU for >10000us 4 times, consider switching
        init invoked oom-killer: gfp_mask=0x140dca(GFP_HIGHUSER), order=0, oom_score_adj=1000
        Command line: panic=-1 hardlockup_panic=1 softlockup_panic=1 oops=panic
        mce: CPU supports 10 MCE banks
        Freeing SMP alternatives memory: 32K
    """,
}
LINES = [(kind, line.strip()) for kind, text in KINDS.items() for line in text.strip().split("\n")]
BEGIN = "Linux version 6.1.0 (x) #1 SMP"
END = "Run /init as init process"


@pytest.mark.parametrize(("kind", "line"), LINES)
def test_a_line_means_the_same_with_stamps_and_without(kind, line):
    after = "warning" if kind == "stalled" else kind
    lines = (BEGIN, END, line)
    stamped = "".join(f"[    {n}.000000] {text}\n" for n, text in enumerate(lines, 1))
    for log in (stamped, "\n".join(lines) + "\n", "".join(f"<4>{text}\n" for text in lines)):
        report = outcomes.report(log.encode())
        assert (report["outcome"], report["reason"]) == (after, "" if kind == "ok" else line)


@pytest.mark.parametrize(("kind", "line"), [one for one in LINES if one[0] != "ok"])
def test_a_line_after_which_nothing_comes(kind, line):
    log = f"[    1.000000] {BEGIN}\n[    9.000000] {line}\n"
    report = outcomes.report(log.encode())
    assert report["outcome"] == ("incomplete" if kind == "warning" else kind)
    assert report["reason"].startswith(line)
    excerpt = outcomes.report(f"[    9.000000] {line}\n".encode())
    assert excerpt["reason"].startswith(line)


def test_words_of_trouble_within_a_line_are_a_drivers():
    for kind, line in LINES:
        if kind in ("panic", "bad-page"):
            log = f"[    1.000000] {BEGIN}\n[    2.000000] {END}\n[    3.000000] x; {line}\n"
            assert outcomes.report(log.encode())["outcome"] == "ok", line


def test_a_line_that_begins_within_another():
    log = f"[    1.000000] {BEGIN}\n[    2.000000] {END}\n"
    log += "[    3.000000] exe: vmalloc: allocation failure: 8 bytes[    3.000001] BUG: x\n"
    troubles = trouble.find(dmesg.read_any(log.encode()))
    assert [one.outcome for one in troubles] == ["warning", "oops"]


def test_a_report_whose_first_line_is_lost_is_a_warning():
    log = f"[    1.000000] {BEGIN}\n[    2.000000] {END}\n"
    log += "[    3.000000] ---[ end trace 0000000000000000 ]---\n"
    assert outcomes.report(log.encode())["outcome"] == "warning"


def test_a_flood_of_warnings_hides_no_panic():
    log = f"[    1.000000] {BEGIN}\n" + "[    2.000000] WARNING: x\n" * 50_000
    log += "[    3.000000] Kernel panic - not syncing: y\n"
    report = outcomes.report(log.encode())
    assert report["reason"] == "Kernel panic - not syncing: y; first: WARNING: x"
