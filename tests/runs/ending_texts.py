"""Real texts of endings, and what each means. Those that were `made` come from a laboratory on one
machine, the others from public issues, which are named."""

from typing import NamedTuple


class Case(NamedTuple):
    """What was printed last, and the ending that it must be."""

    name: str  # of the signature
    text: str
    source: str
    cause: str = ""  # a part of it
    rank: int | None = None
    code: int | None = None


CASES = (
    Case(
        "cuda-memory",
        "torch.cuda.OutOfMemoryError: CUDA out of memory. Tried to allocate 22.00 MiB. GPU 0 has a "
        "total capacity of 23.65 GiB of which 11.06 MiB is free. Including non-PyTorch "
        "memory, this "
        "process has 23.60 GiB memory in use.",
        "pytorch/pytorch#16417",
        "22.00 MiB asked for, 11.06 MiB free",
    ),
    Case(
        "cuda-memory",
        "RuntimeError: CUDA out of memory. Tried to allocate 1024.00 KiB (GPU 0; 11.17 GiB total "
        "capacity; 10.90 GiB already allocated; 576.00 KiB free; 30.96 MiB cached)",
        "shllln/GenerativeGraph#5",
        "1024.00 KiB asked for, 576.00 KiB free",
    ),
    Case(
        "kernel-oom",
        "slurmstepd: error: Detected 1 oom_kill event in StepId=11300781.0. Some of the step tasks "
        "have been OOM Killed.\nsrun: error: sdumont6156: task 0: Out Of Memory",
        "nextflow-io/nextflow#5932",
    ),
    Case(
        "kernel-oom",
        "/var/spool/slurmd/job00191/slurm_script: line 28:  8156 Killed   python3 main.py\n"
        "slurmstepd: error: Detected 1 oom-kill event(s) in StepId=191.batch cgroup. Some of your "
        "processes may have been killed by the cgroup out-of-memory handler.",
        "ArjunaCluster/ArjunaUsers#52",
        code=-9,
    ),
    Case(
        "time-limit",
        "srun: Job step aborted: Waiting up to 47 seconds for job step to finish.\n"
        "slurmstepd: error: *** JOB 494583 ON n1 CANCELLED AT 2024-04-20T09:09:37 DUE TO TIME LIMIT"
        " ***",
        "ZettaAI/zetta_utils#671",
    ),
    Case(
        "time-limit",
        "slurmstepd: error: *** STEP 32233190.0 ON nid01934 CANCELLED AT 2020-07-03T02:59:56 "
        "DUE TO "
        "TIME LIMIT ***\nsrun: error: nid01934: tasks 2,4-5,7: Terminated",
        "desihub/desitarget#628",
        code=-15,
    ),
    Case(
        "preemption",
        "slurmstepd: error: *** JOB 32391783 ON cn119 CANCELLED AT 2021-06-18T13:05:36 DUE TO "
        "PREEMPTION ***",
        "SystemsGenetics/GEMmaker#233",
    ),
    Case(
        "preemption",
        "submitit WARNING (2022-08-12 02:06:11,453) - Caught signal SIGUSR2 on SERVER_NAME: "
        "this job "
        "is preempted.\nslurmstepd: error: *** JOB 608 ON SERVER_NAME CANCELLED AT "
        "2022-08-12T02:06:12 DUE TO JOB REQUEUE ***",
        "facebookincubator/submitit#1708",
    ),
    Case(
        "node-failure",
        "srun: error: Node failure on vm\nslurmstepd-vm: error: *** JOB 19273 ON vm CANCELLED AT "
        "2026-12-01T12:25:16 DUE TO NODE FAILURE, SEE SLURMCTLD LOG FOR DETAILS ***",
        "made: scontrol update nodename=vm state=down",
    ),
    Case(
        "scancel",
        "slurmstepd-vm: error: *** STEP 19276.0 ON vm CANCELLED AT 2026-12-01T12:25:37 ***\n"
        "slurmstepd-vm: error: *** JOB 19276 ON vm CANCELLED AT 2026-12-01T12:25:37 ***\n"
        "srun: error: vm: task 0: Terminated",
        "made: scancel",
    ),
    Case(
        "exception",
        "Traceback (most recent call last):\n"
        '  File "/home/u/train.py", line 9, in <module>\n'
        "KeyError: 'labels'\n"
        "slurmstepd-vm: error: *** STEP 19274.0 ON vm CANCELLED AT 2026-12-01T12:25:23 ***\n"
        "srun: error: vm: task 0: Killed",
        "made: srun --kill-on-bad-exit, a task failed",
        "KeyError",
    ),
    Case(
        "step-cancelled",
        "slurmstepd: error: *** STEP 3495450.0 ON orion-01-04 CANCELLED AT 2021-10-27T20:22:22 ***",
        "hafs-community/HAFS#101",
    ),
    Case(
        "scancel",
        "slurmstepd: *** JOB 1479012 CANCELLED AT 2015-02-04T06:33:25 *** on sh-2-3",
        "bcbio/bcbio-nextgen#741",
    ),
    Case("disk-full", "OSError: [Errno 28] No space left on device", "made: a full tmpfs"),
    Case(
        "disk-full",
        "OSError: [Errno 122] Disk quota exceeded",
        "alpaca-lora#280",
        "quota",
    ),
    Case(
        "nccl-watchdog",
        "[rank0]:[E321 02:07:08.408271257 ProcessGroupNCCL.cpp:607] [Rank 0] Watchdog caught "
        "collective operation timeout: WorkNCCL(SeqNum=1580, OpType=ALLREDUCE, NumelIn=466119168, "
        "NumelOut=466119168, Timeout(ms)=600000) ran for 600060 milliseconds before timing out.",
        "hiyouga/LlamaFactory#7396",
        "rank 0 waited 600060 ms in ALLREDUCE, number 1580",
    ),
    Case(
        "nccl-watchdog",
        "[E ProcessGroupNCCL.cpp:737] [Rank 1] Watchdog caught collective operation timeout: "
        "WorkNCCL(SeqNum=469508, OpType=ALLREDUCE, Timeout(ms)=1800000) "
        "ran for 1802212 milliseconds"
        " before timing out.",
        "OFA-Sys/OFA#271",
        "number 469508",
        code=-6,
    ),
    Case(
        "lost-connection",
        "RuntimeError: [../third_party/gloo/gloo/transport/tcp/pair.cc:537] Read error "
        "[127.0.0.1]:11676: Connection reset by peer. This is typically caused by a remote worker "
        "hanging",
        "made: two ranks, one killed",
    ),
    Case(
        "lost-connection",
        "RuntimeError: [gloo/transport/tcp/unbound_buffer.cc:78] Timed out waiting 6000ms for recv "
        "operation to complete",
        "made: two ranks, one late",
    ),
    Case(
        "lost-connection",
        "[rank3]: torch.distributed.DistBackendError: NCCL error in: ProcessGroupNCCL.cpp:3763, "
        "remote process exited or there was a network error, NCCL version 2.28.8\n"
        "[rank3]: ncclRemoteError: A call failed possibly due to a network error or a remote "
        "process exiting prematurely.",
        "NVIDIA/nccl#1928",
    ),
    Case(
        "abort",
        "terminate called after throwing an instance of 'gloo::EnforceNotMet'\n"
        "  what():  [enforce fail at pair.cc:465] op.preamble.length <= op.nbytes. "
        "8 vs 4. Is there "
        "a distributed collective mismatch in your code?",
        "made: two ranks with other shapes",
        code=-6,
    ),
    Case(
        "syntax",
        '  File "/home/u/train.py", line 3\n    for batch in data\n                     ^\n'
        "SyntaxError: expected ':'",
        "made: a colon left out",
        "expected ':'",
    ),
    Case(
        "shared-memory",
        "RuntimeError: DataLoader worker (pid 4153) is killed by signal: Bus error. It is possible "
        "that dataloader's workers are out of shared memory. Please try to raise your shared "
        "memory limit.",
        "pytorch/pytorch#5040",
    ),
    Case("segfault", "", "made: ctypes.string_at(0)", code=-11),
    Case(
        "segfault",
        "Fatal Python error: Segmentation fault\n\nCurrent "
        "thread 0x00007f (most recent call first):",
        "made: the same with faulthandler",
        code=-11,
    ),
    Case(
        "import",
        "Traceback (most recent call last):\n"
        '  File "/home/u/train.py", line 3, in <module>\n'
        "    import flash_attn\n"
        "ModuleNotFoundError: No module named 'flash_attn'",
        "made: an import of what is not installed",
        "No module named 'flash_attn'",
    ),
    Case(
        "nan",
        "RuntimeError: Function 'SqrtBackward0' returned nan values in its 0th output.",
        "made: torch.autograd.set_detect_anomaly",
    ),
    Case(
        "nan",
        "2026-12-01 10:00:00 failed: loss became nan at step 7: train again with --set "
        "learning_rate=0.1",
        "made: genui's own stop",
    ),
    Case("ctrl-c", "KeyboardInterrupt", "made: Ctrl-C", code=-2),
    Case("sigkill", "Killed", "made: kill -9", code=-9),
    Case("sigterm", "Terminated", "made: kill", code=-15),
    Case(
        "sigkill",
        "Root Cause (first observed failure):\n[0]:\n  time      : 2026-11-30_10:00:00\n"
        "  host      : node1\n  rank      : 1 (local_rank: 1)\n  exitcode  : -9 (pid: 8577)\n"
        "  error_file: <N/A>\n  traceback : Signal 9 (SIGKILL) received by PID 8577",
        "made: torchrun, one rank killed",
        rank=1,
    ),
    Case(
        "hangup",
        "torch.distributed.elastic.multiprocessing.api.SignalException: Process 8665 got signal: 1",
        "zai-org/ChatGLM2-6B#238",
    ),
    Case(
        "abort",
        "terminate called after throwing an instance of 'std::runtime_error'\n  what():  no way",
        "made: an exception of C++",
        "no way",
        code=-6,
    ),
    Case(
        "memory",
        "RuntimeError: [enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't "
        "allocate memory: you tried to allocate 17179869184 bytes. Error code 12 (Cannot allocate "
        "memory)",
        "made: ulimit -v",
        "17179869184 bytes",
    ),
    Case("memory", "MemoryError", "made: ulimit -v"),
    Case("parent", "", "made: the launcher of two ranks was killed", code=75),
    Case("unknown", "step 7 loss 1.2", "made: a log without an end"),
    Case("unknown", "step 7 loss 1.2", "made: exit(3)", code=3),
)
