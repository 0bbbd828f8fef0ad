"""What the end of a process means, in the words of whoever waited for it."""

import signal


def how_it_ended(exit_status: int) -> str:
    """What an exit status of `subprocess` says; what a death by SIGBUS is from, which leaves no other message."""
    if exit_status >= 0:
        return f"exit status {exit_status}"
    try:
        name = signal.Signals(-exit_status).name
    except ValueError:  # a real-time signal
        name = f"signal {-exit_status}"
    means = ": a file that was being read was cut short, or its disk failed" if name == "SIGBUS" else ""
    return f"killed by {name}{means}"
