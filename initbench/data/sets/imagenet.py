"""ImageNet: the 1,000 classes of the Large Scale Visual Recognition Challenge of 2012.

1,281,167 training and 50,000 validation images, which do not fit into memory: they stay in their
files and are decoded while training. The training images are seen as the test images are, a square
from the middle without random scaling, because augmentation is the recipe's.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from initbench.data.dataset import ImageSplits
from initbench.data.files import DataFile
from initbench.data.sets.image_folders import (
    ImageFolders,
    ImageFoldersConfig,
    Listing,
    class_names,
    list_images,
)
from initbench.errors import UserError
from initbench.plugin.initialiser import Citation

if TYPE_CHECKING:
    from initbench.data.image_files import View

TRAIN, TEST = "imagenet/train", "imagenet/val"

CROPPED = 0.875  # of the shorter side: 224 of 256 pixels


class ImageNetConfig(ImageFoldersConfig):
    """What validates, and how much is seen of each image."""

    size: Annotated[
        int, Field(ge=8, le=1024, description="height and width of the images in pixels")
    ] = 224


class ImageNet(ImageFolders[ImageNetConfig]):
    """ImageNet, streamed from its image files."""

    name = "imagenet"
    summary = "1.28 million photographs in 1,000 classes, streamed from their files"
    citation = Citation(
        "O. Russakovsky et al.: ImageNet Large Scale Visual Recognition Challenge. International "
        "Journal of Computer Vision 115, 2015.",
        "https://doi.org/10.1007/s11263-015-0816-y",
    )
    licence = "non-commercial research and teaching; the images belong to their owners"
    how_to_get = (
        "sign in at https://image-net.org/download.php, get the training and validation images of "
        f"ILSVRC 2012 and unpack them into one folder a class: `{TRAIN}/n01440764/*.JPEG` and "
        f"`{TEST}/n01440764/*.JPEG`"
    )
    classes = 1000
    channels = 3
    native_size = 224
    streamed = True
    version = "1"
    Config = ImageNetConfig

    def __init__(self, config: ImageNetConfig) -> None:
        super().__init__(config)
        self.native_size = config.size

    def files(self) -> tuple[DataFile, ...]:
        """Return the folders of training and test images."""
        return DataFile(TRAIN), DataFile(TEST)

    def view(self) -> View:
        """Return the middle of the image: at 224 pixels, of the shorter side brought to 256."""
        from initbench.data.image_files import View

        return View(crop=self.config.size, shorter=round(self.config.size / CROPPED))

    def list_files(self, root: Path) -> tuple[Listing, Listing]:
        """Return the files of the training and of the test images, without opening any."""
        folders = self.open_files(root)
        names = class_names(folders[TRAIN], self.classes)
        if class_names(folders[TEST], self.classes) != names:
            raise UserError(
                f"`{folders[TEST]}`: expected the same class folders as in `{folders[TRAIN]}`, got "
                "others; unpack the whole data set again"
            )
        return list_images(folders[TRAIN], names), list_images(folders[TEST], names)

    def load(self, root: Path | None) -> ImageSplits:
        """List the images; validation is held out of the training folder, `val` is for testing."""
        return self.image_splits(root)
