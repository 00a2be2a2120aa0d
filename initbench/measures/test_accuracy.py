"""Accuracy on the test split."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, model_validator

from initbench.measures.curve import chance, final_number
from initbench.measures.measure import RecordMeasure
from initbench.plugin.initialiser import Config
from initbench.probes.correct_images import CorrectImages

if TYPE_CHECKING:
    from initbench.store.record import Record


class TestAccuracyConfig(Config):
    """Which weights are tested: those with the best validation accuracy, the last, the first.

    Or those at the end of an epoch, which the recipe's `evaluation.test_epochs` must name. With
    `test_images`, networks are looked at again after training, image by image.
    """

    __test__ = False  # not a test class, whatever pytest makes of its name

    checkpoint: Literal["best", "last", "initial"] = "best"
    epoch: Annotated[int, Field(ge=1)] | None = None
    test_images: Annotated[
        bool, Field(description="give the noise of the finite test set beside comparisons")
    ] = False

    @model_validator(mode="after")
    def _one_of_both(self) -> TestAccuracyConfig:
        if self.epoch is not None and self.checkpoint != "best":
            raise ValueError("give `checkpoint` or `epoch`, not both")
        if self.epoch is not None and self.test_images:
            raise ValueError("no weights of an epoch are kept: give `test_images` or `epoch`")
        return self


class TestAccuracy(RecordMeasure[TestAccuracyConfig]):
    """The share of test images that a network classifies correctly.

    The checkpoint is by default the first one with the highest validation accuracy, the weights
    before training included (Harder et al. 2023, as released).
    """

    __test__ = False

    name = "test_accuracy"
    summary = "Test accuracy of the checkpoint with the best validation accuracy, or another."
    unit = "fraction"
    direction = "higher"
    Config = TestAccuracyConfig

    @property
    def _weights(self) -> str:
        epoch = self.config.epoch
        return self.config.checkpoint if epoch is None else f"epoch_{epoch}"

    def label(self) -> str:
        return self.name if self._weights == "best" else f"{self.name}.{self._weights}"

    def misfit(self, recipe: Mapping[str, Any]) -> str | None:
        epoch = self.config.epoch
        tested = [at for at in recipe["evaluation"]["test_epochs"] if at <= recipe["epochs"]]
        if epoch is None or epoch in tested:
            return None
        shown = ", ".join(map(str, tested)) or "none"
        return (
            f"the recipe does not test at the end of epoch {epoch}; it tests after these of its "
            f"{recipe['epochs']} epochs: {shown}; add it to `recipe.evaluation.test_epochs`"
        )

    def of_record(self, record: Record) -> float:
        name = f"test_accuracy.{self._weights}"
        return final_number(record, name)

    def worst(self, record: Record) -> float:
        return chance(record)

    def correct_images(self) -> CorrectImages | None:
        return CorrectImages(self.config.checkpoint) if self.config.test_images else None
