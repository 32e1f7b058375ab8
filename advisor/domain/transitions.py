"""The states of a recommendation and which may follow which."""

from __future__ import annotations

from bsadvise.model.recommendation import State

from advisor.domain.errors import IllegalTransition

_FINAL = frozenset(state for state in State if state.is_final)

_TRANSITIONS = {
    State.QUEUED: frozenset({State.RUNNING, State.CANCELLED, State.FAILED}),
    State.RUNNING: _FINAL | {State.QUEUED},
}


def check_transition(old: State, new: State) -> None:
    """Raise IllegalTransition unless a recommendation may go from ``old`` to ``new``."""
    if new not in _TRANSITIONS.get(old, frozenset()):
        raise IllegalTransition(f"a recommendation that is {old} cannot become {new}")
