"""Names of the command line's own options: no hparam may be called like one of them.

A test holds this list against the parser.
"""

from __future__ import annotations

RESERVED = frozenset(
    {
        "ascii", "attach", "check", "data", "description", "detach", "end_time", "find_batch_size", "fork",
        "from", "help", "init_from", "json", "log", "log_to", "max_restarts", "name", "nnodes", "no_mouse",
        "no_ui", "node_rank", "nproc", "on_end", "overwrite", "preset", "profile", "project",
        "quiet", "rdzv_backend", "rdzv_endpoint", "rdzv_id", "resume", "run_dir", "run_name",
        "runs_dir", "start", "theme", "traceback", "version",
    }
)  # fmt: skip
