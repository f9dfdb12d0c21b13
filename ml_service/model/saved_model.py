"""SavedModel: saves a fitted model with its sibling to a folder, and loads either of them.

Law: nothing of a folder is used before it was verified, and a loaded model answers as the saved one did, to the bit.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Self

import orjson

from ml_service.arrays import Floats
from ml_service.model import artefacts
from ml_service.model.artefacts import library_versions, model_checksum
from ml_service.model.calibration import BetaCalibration
from ml_service.model.out_of_fold import KEYS_FILE, TrainingFolds
from ml_service.model.outlook import OLDER, OutlookModel
from ml_service.model.predictions import Predictor
from ml_service.model.trees import boosting
from ml_service.model.trees.boosters import Trees
from shared.contracts.api import TimeOfYear
from shared.errors import CorruptModel
from shared.schema.features import Schema, schema_from_dict

#: Version of the folder's layout; a model of another format is refused.
FORMAT = 1
REPORT_FILE, PAGE_FILE = "report.json", "report.html"
#: The names of the sibling's files begin with this.
SIBLING = "sibling_"


class SavedModel(Predictor):
    """A fitted model that can be saved and loaded.

    Attributes
    ----------
    table_schema : Schema
        The schema as given; `schema` has only the features that the model uses, `left_out` names the others.
    natural_rate : float or None
        The prevalence that probabilities and thresholds are shifted to; None if they are those of the training rows.
    balanced_threshold : float
        Threshold with an out-of-fold recall of 0.925.
    parameters : dict
        The chosen xgboost parameters, with the numbers of rounds and of boosters in the bag.
    training : dict
        Rows, leavers, prevalence and complete features of the rows that were fitted.
    search : dict
        How the parameters were found.
    sibling : SavedModel or None
        The model of the same configuration that was fitted without the test rows: the one that the report judges.
    out_of_fold_margins : ndarray of float64, shape (n_rows,), or None
        Margins of the rows that were fitted, in their order; not saved.
    outlook : OutlookModel
        Further horizons and causes; of the sibling, none are saved.
    report : dict or None
        The training report.
    report_page : bytes or None
        The training report as an HTML page.

    See Also
    --------
    Predictor : The inherited attributes and the methods that score rows.
    """

    balanced_threshold: float
    parameters: dict[str, Any]
    training: dict[str, Any]

    def __init__(
        self, schema: Schema, *, version: str, seed: int = 0, threads: int = 1, without: Collection[str] = ()
    ) -> None:
        self.table_schema, self.schema = schema, schema.without(without)
        self.left_out = [name for name in schema.features if name not in self.schema.features]
        self.version, self.seed, self.threads = version, seed, threads
        self.natural_rate: float | None = None
        self.training_folds: TrainingFolds | None = None
        self.time_of_year: TimeOfYear | None = None
        self.out_of_fold_margins: Floats | None = None
        self.outlook = OutlookModel.without(OLDER, own_reason=OLDER)
        self.sibling: Self | None = None
        self.report: dict[str, Any] | None = None
        self.report_page: bytes | None = None
        self.search: dict[str, Any] = {}

    def checksum(self) -> str:
        """Return the SHA-256 of everything a score depends on: trees, categories, calibration, level, thresholds."""
        score_settings = [self.categories, self.calibration.as_dict(), self.threshold, self.balanced_threshold]
        if self.time_of_year is not None:
            score_settings.append(self.time_of_year.model_dump())
        return model_checksum(self.trees.files(), score_settings)

    def save(self, folder: Path, *, about: Mapping[str, Any] | None = None, replace: bool = False) -> None:
        """Write the model to a folder: the trees in UBJSON, everything else in JSON, no pickle.

        Parameters
        ----------
        folder : Path
            It appears complete or not at all.
        about : mapping, optional
            Further JSON values for the manifest, such as when the model was made and from which data.
        replace : bool, default=False
            Replace a model in the folder.

        Raises
        ------
        Conflict
            If the folder exists and `replace` is false, or if it holds anything but a model.
        """
        artefacts.write_folder(folder, {**(about or {}), **self.manifest()}, self.files(), replace=replace)

    def files(self) -> dict[str, bytes]:
        """The files of the model and of its sibling by name, without the manifest."""
        files = {**self._own_files(), **self.outlook.files()}
        if self.sibling is not None:
            files |= {SIBLING + name: data for name, data in self.sibling._own_files().items()}
        if self.report is not None:
            files[REPORT_FILE] = orjson.dumps(self.report, option=orjson.OPT_INDENT_2)
        if self.report_page is not None:
            files[PAGE_FILE] = self.report_page
        return files

    def _own_files(self) -> dict[str, bytes]:
        return {**self.trees.files(), **(self.training_folds.files() if self.training_folds else {})}

    def manifest(self) -> dict[str, Any]:
        """Everything about the model that is not in its files, as JSON values."""
        return {
            "format": FORMAT,
            "model_version": self.version,
            "algorithm": "XGBoost",
            "schema": self.table_schema.as_dict(),
            "left_out": self.left_out,
            "seed": self.seed,
            "search": self.search,
            **self._fitted(),
            "outlook": self.outlook.as_dict(),
            "sibling": None if self.sibling is None else self.sibling._fitted(),
            "libraries": library_versions(),
        }

    def _fitted(self) -> dict[str, Any]:
        """The part of the manifest that the sibling has of its own."""
        return {
            "natural_rate": self.natural_rate,
            "categories": self.categories,
            "calibration": self.calibration.as_dict(),
            "time_of_year": None if self.time_of_year is None else self.time_of_year.model_dump(),
            "threshold": self.threshold,
            "balanced_threshold": self.balanced_threshold,
            "base_margin": self.base_margin,
            "base_probability": self.base_probability,
            "model_sha256": self.checksum(),
            "parameters": self.parameters,
            "training": self.training,
        }

    @classmethod
    def load(cls, folder: Path, *, threads: int = 1, with_sibling: bool = False) -> Self:
        """Read a model from a folder that `save` wrote, after verifying every file.

        Parameters
        ----------
        folder : Path
            Folder of one model version.
        threads : int, default=1
            Threads of xgboost.
        with_sibling : bool, default=False
            Whether to read the sibling too, which scoring does not need.

        Returns
        -------
        model : SavedModel

        Raises
        ------
        CorruptModel
            If a file is missing or is not the one that was saved; the message names it.
        """
        manifest, files = artefacts.read_folder(folder)
        if manifest.get("format") != FORMAT:
            raise CorruptModel(f"Model {folder.name}: {artefacts.MANIFEST} has a format that this service can't read.")
        return cls.from_files(manifest, files, threads=threads, with_sibling=with_sibling)

    @classmethod
    def from_files(
        cls, manifest: Mapping[str, Any], files: Mapping[str, bytes], *, threads: int = 1, with_sibling: bool = False
    ) -> Self:
        """Make the model whose `manifest` and `files` these are; nothing is verified."""
        model = cls._restored(manifest, manifest, files, threads)
        model.outlook = OutlookModel.restored(manifest.get("outlook"), files)
        fitted = manifest.get("sibling") if with_sibling else None
        if fitted is not None:
            own = {name.removeprefix(SIBLING): data for name, data in files.items() if name.startswith(SIBLING)}
            model.sibling = cls._restored(manifest, fitted, own, threads)
        model.report = orjson.loads(files[REPORT_FILE]) if REPORT_FILE in files else None
        model.report_page = files.get(PAGE_FILE)
        return model

    @classmethod
    def _restored(
        cls, manifest: Mapping[str, Any], fitted: Mapping[str, Any], files: Mapping[str, bytes], threads: int
    ) -> Self:
        model = cls(
            schema_from_dict(manifest["schema"]),
            version=manifest["model_version"],
            seed=manifest["seed"],
            threads=threads,
            without=manifest.get("left_out", ()),
        )
        model.natural_rate = fitted.get("natural_rate")
        model.search = manifest.get("search", {})
        model.categories, model.parameters, model.training = (
            fitted["categories"],
            fitted["parameters"],
            fitted["training"],
        )
        model.threshold, model.balanced_threshold = fitted["threshold"], fitted["balanced_threshold"]
        model.calibration = BetaCalibration(**fitted["calibration"])
        # Models that were made before there was a level have none.
        year = fitted.get("time_of_year")
        model.time_of_year = None if year is None else TimeOfYear(**year)
        model.trees = Trees.from_files(files, feature_types=boosting.feature_types(model.schema), threads=threads)
        model.training_folds = TrainingFolds.from_files(files) if KEYS_FILE in files else None
        return model
