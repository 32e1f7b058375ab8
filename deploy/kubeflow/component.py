"""The Kubeflow Pipelines component; ``recommend.yaml`` beside this is what compiles to.

    pip install kfp
    python deploy/kubeflow/component.py IMAGE

writes that file with the name of an image, as deploy/Dockerfile builds it.
"""

import sys
from pathlib import Path

from kfp import compiler, dsl

PROGRAM = """
set -f
mkdir -p "$(dirname "$5")" "$(dirname "$6")" "$(dirname "$7")" "$(dirname "$8")" "$(dirname "$9")"
directory=$(mktemp -d)
BSADVISE_ADDRESS=$4 bsadvise recommend "$1" $2 --output env --save "$directory/advice.json" \\
  ${3:+-- $3} > "$directory/advice.env"
cat "$directory/advice.env"
value_of() { sed -n "s/^TRAINING_$1=//p" "$directory/advice.env"; }
value_of MICRO_BATCH_SIZE > "$5"
value_of ACCUMULATION_STEPS > "$6"
value_of EFFECTIVE_BATCH_SIZE > "$7"
value_of LEARNING_RATE | grep . > "$8" || echo 0 > "$8"
mv "$directory/advice.json" "$9"
"""
"""Inputs are arguments, and no part of this text. Where no rate has an effect, it is 0."""


def compile_to(path: Path, image: str) -> None:
    """Write the component as YAML."""

    @dsl.container_component
    def recommend(
        model_file: str,
        micro_batch_size: dsl.OutputPath(int),
        accumulation_steps: dsl.OutputPath(int),
        effective_batch_size: dsl.OutputPath(int),
        learning_rate: dsl.OutputPath(float),
        advice: dsl.Output[dsl.Artifact],
        flags: str = "",
        arguments: str = "",
        address: str = "",
    ) -> dsl.ContainerSpec:
        """Recommend micro-batch size, accumulation steps and learning rate.

        Args:
            model_file: The model file or training script, in the image or in a mounted volume.
            flags: Flags of bsadvise recommend, divided at blanks.
            arguments: The command line of a script, divided at blanks.
            address: A daemon elsewhere; empty for one in this step, on its own device.
            micro_batch_size: Samples of a forward and backward pass on one device.
            accumulation_steps: Micro-batches of an optimizer step.
            effective_batch_size: Samples of an optimizer step.
            learning_rate: The learning rate; 0 where no rate has an effect.
            advice: The whole answer, in JSON.
        """
        outputs = (
            micro_batch_size,
            accumulation_steps,
            effective_batch_size,
            learning_rate,
            advice.path,
        )
        return dsl.ContainerSpec(
            image=image,
            command=["sh", "-euc", PROGRAM, "recommend"],
            args=[model_file, flags, arguments, address, *outputs],
        )

    compiler.Compiler().compile(recommend, str(path))


if __name__ == "__main__":
    compile_to(Path(__file__).with_name("recommend.yaml"), sys.argv[1])
