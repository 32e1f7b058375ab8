"""Caveats: what the user should know about an answer, with a code for programs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from bsadvise.model.values import Value


class CaveatCode(StrEnum):
    """The kinds of caveats that this release gives; docs/caveats.md says what each means."""

    UNSPECIFIED = "unspecified"

    DEVICE_NOT_PRESENT = "device_not_present"
    VERIFICATION_FAILED = "verification_failed"
    VERIFICATION_TIMED_OUT = "verification_timed_out"
    VERIFICATION_OUT_OF_MEMORY = "verification_out_of_memory"
    VERIFICATION_LOSS_NOT_FINITE = "verification_loss_not_finite"
    NOT_VERIFIED = "not_verified"
    SCRIPT_NOT_CHECKED = "script_not_checked"
    SCRIPT_CHECK_FAILED = "script_check_failed"
    SCRIPT_CHECK_DIFFERS = "script_check_differs"
    NO_SANDBOX = "no_sandbox"
    OBSERVED_ONLY = "observed_only"
    SEVERAL_OPTIMIZERS = "several_optimizers"
    NO_LOSSES_COMPARED = "no_losses_compared"

    NO_DATA_SET = "no_data_set"
    NOTHING_HELD_OUT = "nothing_held_out"
    TRAINING_SLOWER_THAN_TIMED = "training_slower_than_timed"
    SHORT_TRIALS = "short_trials"
    ALL_TRIALS_DIVERGED = "all_trials_diverged"
    REFERENCE_DIVERGED = "reference_diverged"
    TRIAL_FAILED = "trial_failed"
    ONLY_REFERENCE_TRAINED = "only_reference_trained"
    NO_TRIALS = "no_trials"
    RANGE_TEST_ONLY = "range_test_only"
    BATCH_NOT_TRIED = "batch_not_tried"
    TARGET_NOT_REACHED = "target_not_reached"
    CARRIED_TO_LENGTH = "carried_to_length"
    LENGTH_NOT_COUNTED = "length_not_counted"
    LENGTH_NOT_TRAINED = "length_not_trained"
    REFERENCE_ADVISED = "reference_advised"
    SCHEDULE_WITHOUT_LENGTH = "schedule_without_length"
    OPTIMIZER_UNKNOWN = "optimizer_unknown"
    LEARNING_RATE_UNUSED = "learning_rate_unused"
    GROUP_RATES_DIFFER = "group_rates_differ"
    FIRST_LOSS_NOT_FINITE = "first_loss_not_finite"
    STREAM_REPEATED = "stream_repeated"
    SAMPLES_DROPPED = "samples_dropped"
    USER_WARNING = "user_warning"
    TRAINER_PARTS_LEFT_OUT = "trainer_parts_left_out"

    BATCH_NORM_PER_MICRO_BATCH = "batch_norm_per_micro_batch"
    BATCH_NORM_LARGE_BATCH = "batch_norm_large_batch"
    ACCUMULATION_COSTS_TIME = "accumulation_costs_time"
    ACCUMULATION_SAVES_TIME = "accumulation_saves_time"
    BATCH_SCHEDULE_NOT_RUN = "batch_schedule_not_run"
    LOSS_IS_SUM = "loss_is_sum"
    LOSS_IS_WEIGHTED_MEAN = "loss_is_weighted_mean"
    LOSS_COUPLES_SAMPLES = "loss_couples_samples"
    BATCH_SEMANTICS_UNKNOWN = "batch_semantics_unknown"
    STATE_BETWEEN_BATCHES = "state_between_batches"
    WEIGHTS_CHANGED_IN_LOSS = "weights_changed_in_loss"
    MEMORY_GROWS = "memory_grows"

    MEMORY_SEARCH_CUT_SHORT = "memory_search_cut_short"
    MEMORY_SEARCH_LIMIT = "memory_search_limit"
    LARGEST_BATCH_NOT_RUN = "largest_batch_not_run"
    SAMPLE_SIZES_DIFFER = "sample_sizes_differ"
    MEMORY_CHANGED_MEANWHILE = "memory_changed_meanwhile"
    DEVICE_SHARED = "device_shared"
    NOT_TRACED = "not_traced"
    COMPILATION_NOT_TRACED = "compilation_not_traced"
    MODEL_MOVED = "model_moved"

    COMMUNICATION_NOT_MEASURED = "communication_not_measured"
    STEPS_NOT_TIMED = "steps_not_timed"
    CPU_CONTENTION = "cpu_contention"
    DATA_LOADER_BOTTLENECK = "data_loader_bottleneck"
    STORED_ORDER_NOT_RANDOM = "stored_order_not_random"
    HELD_OUT_NEAR_TRAINING = "held_out_near_training"
    LAST_BATCH_SMALL = "last_batch_small"

    POWER_NOT_READ = "power_not_read"
    ENERGY_NOT_COMPARED = "energy_not_compared"


@dataclass(frozen=True, slots=True, kw_only=True)
class Caveat(Value):
    """What the user should know about an answer.

    Attributes:
        text: In words.
        code: Which kind it is: one of ``CaveatCode``, or one that a newer release has.
    """

    text: str
    code: str = CaveatCode.UNSPECIFIED


_WORST = (
    CaveatCode.VERIFICATION_FAILED,
    CaveatCode.VERIFICATION_OUT_OF_MEMORY,
    CaveatCode.VERIFICATION_LOSS_NOT_FINITE,
    CaveatCode.VERIFICATION_TIMED_OUT,
    CaveatCode.MEMORY_GROWS,
    CaveatCode.ALL_TRIALS_DIVERGED,
    CaveatCode.LEARNING_RATE_UNUSED,
    CaveatCode.OBSERVED_ONLY,
    CaveatCode.DEVICE_NOT_PRESENT,
    CaveatCode.NOT_VERIFIED,
    CaveatCode.FIRST_LOSS_NOT_FINITE,
    CaveatCode.WEIGHTS_CHANGED_IN_LOSS,
    CaveatCode.STATE_BETWEEN_BATCHES,
    CaveatCode.SEVERAL_OPTIMIZERS,
    CaveatCode.LENGTH_NOT_TRAINED,
    CaveatCode.BATCH_NOT_TRIED,
    CaveatCode.STORED_ORDER_NOT_RANDOM,
    CaveatCode.LOSS_IS_SUM,
    CaveatCode.LOSS_COUPLES_SAMPLES,
)
"""Those for which a training with the setting may fail or go otherwise than said, worst first."""

_LEAST = frozenset(
    {
        CaveatCode.LARGEST_BATCH_NOT_RUN,
        CaveatCode.MEMORY_SEARCH_LIMIT,
        CaveatCode.MEMORY_SEARCH_CUT_SHORT,
        CaveatCode.POWER_NOT_READ,
        CaveatCode.ENERGY_NOT_COMPARED,
        CaveatCode.ACCUMULATION_SAVES_TIME,
        CaveatCode.BATCH_SCHEDULE_NOT_RUN,
    }
)
"""Those that say nothing against training with the setting."""


def worst_first(caveats: Iterable[Caveat]) -> list[Caveat]:
    """Return caveats in the order in which to read them.

    First those for which the training may fail, last those that leave the setting as it is; what
    a newer release has comes between, as do others of one weight, in the order given.
    """
    ranks = {code.value: rank for rank, code in enumerate(_WORST)}
    middle = len(ranks)

    def rank(caveat: Caveat) -> int:
        return ranks.get(caveat.code, middle + (caveat.code in _LEAST))

    return sorted(caveats, key=rank)
