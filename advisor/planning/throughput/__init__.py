"""Step times: what is timed, and what a step costs."""
