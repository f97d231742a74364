"""What stands in TensorBoard's event files, as tensors: the other half of a writer.

    events = Events("runs/lr 0.01")  # the folder of one run
    events.scalars()["loss/training"].values  # (T,)

TensorBoard's own `EventAccumulator` reads the files. It stops without a word where one
is damaged; here each record's checksum is looked at first. Can be copied together with
event_kinds.py and event_records.py.
"""

import io
import logging
import wave
from collections import defaultdict
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from google.protobuf import text_format
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData
from tensorboard.plugins.projector.projector_config_pb2 import ProjectorConfig
from tensorboard.util.tensor_util import make_ndarray
from torch import Tensor

from ch08_ecosystem.event_kinds import (
    Curve,
    Embedding,
    Histogram,
    Picture,
    PrecisionRecall,
    Sound,
)
from ch08_ecosystem.event_records import DamagedEventFile, is_whole

__all__ = ["DamagedEventFile", "Events", "runs"]

PATTERN = "*tfevents*"
ALL = dict.fromkeys(("scalars", "histograms", "images", "audio", "tensors"), 0)


def runs(logs: Path | str) -> dict[str, Path]:
    """The folders in and below `logs` with event files, by the name of each run.

    Raises `FileNotFoundError` where there is none.
    """
    folders = sorted({path.parent for path in Path(logs).rglob(PATTERN)})
    if not folders:
        raise FileNotFoundError(f"no event file (...tfevents...) in or below {logs}")
    return {folder.relative_to(logs).as_posix(): folder for folder in folders}


class Events:
    """All that the event files of one folder hold; folders below are other runs.

    `cut_off` names the files that end within a record, because their writer is at work
    or was killed; what stands before is read. Raises `FileNotFoundError` for a folder
    without event files, `DamagedEventFile` where one was changed afterwards.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        files = sorted(self.folder.glob(PATTERN))
        if not files:
            raise FileNotFoundError(
                f"{self.folder} has no event file (...tfevents...): is it the folder "
                "of one run, and did a SummaryWriter write there?"
            )
        self.cut_off = [path.name for path in files if not is_whole(path)]
        self._read = EventAccumulator(str(self.folder), size_guidance=ALL)
        logger = logging.getLogger("tensorboard")  # it says on stderr what it purges
        level = logger.level
        logger.setLevel(logging.ERROR)
        try:
            self._read.Reload()
        finally:
            logger.setLevel(level)

    def tags(self) -> dict[str, list[str]]:
        """The names that were given, by kind."""
        tags = self._read.Tags()
        kinds = {kind: tags[kind] for kind in ALL if kind != "tensors"}
        for tag in tags["tensors"]:
            plugin = self._read.summary_metadata[tag].plugin_data.plugin_name
            kinds.setdefault(plugin, []).append(tag)
        return {kind: names for kind, names in kinds.items() if names}

    def scalars(self) -> dict[str, Curve]:
        found = {}
        for tag in self._read.Tags()["scalars"]:
            events = self._read.Scalars(tag)
            numbers = np.array([(e.value, e.wall_time) for e in events])
            values, times = torch.from_numpy(numbers).T
            found[tag] = Curve(torch.tensor([e.step for e in events]), values, times)
        for tag in self.tags().get("scalars", []):
            if tag not in found:  # written as tensors: new_style, or TensorFlow 2
                events = self._read.Tensors(tag)
                values = [make_ndarray(e.tensor_proto).item() for e in events]
                found[tag] = Curve(
                    torch.tensor([e.step for e in events]),
                    torch.tensor(values, dtype=torch.float64),
                    torch.tensor([e.wall_time for e in events], dtype=torch.float64),
                )
        return found

    def histograms(self) -> dict[str, list[Histogram]]:
        found = defaultdict(list)
        for tag in self._read.Tags()["histograms"]:
            for event in self._read.Histograms(tag):
                value = event.histogram_value
                edges = torch.tensor([value.min, *value.bucket_limit]).double()
                edges = edges.clamp(value.min, value.max)
                counts = torch.tensor(value.bucket).double()
                found[tag].append(Histogram(event.step, edges, counts))
        return dict(found)

    def images(self) -> dict[str, list[Picture]]:
        """Of `add_image`, `add_images`, `add_figure` and `add_video`."""
        return {
            tag: [
                Picture(event.step, _frames(io.BytesIO(event.encoded_image_string)))
                for event in self._read.Images(tag)
            ]
            for tag in self._read.Tags()["images"]
        }

    def sounds(self) -> dict[str, list[Sound]]:
        found = defaultdict(list)
        for tag in self._read.Tags()["audio"]:
            for event in self._read.Audio(tag):
                with wave.open(io.BytesIO(event.encoded_audio_string)) as file:
                    raw, rate = file.readframes(file.getnframes()), file.getframerate()
                samples = np.frombuffer(raw, "<i2").astype(np.float32) / 32767
                found[tag].append(Sound(event.step, torch.from_numpy(samples), rate))
        return dict(found)

    def texts(self) -> dict[str, list[tuple[int, str]]]:
        """Pairs of step and Markdown."""
        found = {}
        for tag, pairs in self._arrays("text").items():
            texts = [(step, array.item().decode()) for step, array in pairs]
            found[tag.removesuffix("/text_summary")] = texts
        return found

    def precision_recall(self) -> dict[str, list[PrecisionRecall]]:
        return {
            tag: [PrecisionRecall(s, *torch.from_numpy(a[4:6])) for s, a in pairs]
            for tag, pairs in self._arrays("pr_curves").items()
        }

    def meshes(self) -> dict[str, dict[str, Tensor]]:
        """VERTEX (V, 3), COLOR (V, 3) and FACE (F, 3) where given; of the last step."""
        found = defaultdict(dict)
        for tag, pairs in self._arrays("mesh").items():
            name, _, part = tag.rpartition("_")
            found[name][part] = torch.from_numpy(pairs[-1][1][0])
        return dict(found)

    def graph(self) -> list[tuple[str, str]]:
        """Name and operation of each node of `add_graph`; empty where there is none."""
        if not self._read.Tags()["graph"]:
            return []
        return [(node.name, node.op) for node in self._read.Graph().node]

    def hparams(self) -> dict[str, float | str | bool]:
        """The settings of `add_hparams`; they stand in the folder of its `run_name`."""
        found, contents = {}, {}
        with suppress(KeyError):  # there are none
            contents = self._read.PluginTagToContent("hparams")
        for content in contents.values():
            settings = HParamsPluginData.FromString(content).session_start_info.hparams
            for name, value in settings.items():
                found[name] = getattr(value, value.WhichOneof("kind"))
        return found

    def embeddings(self) -> dict[str, Embedding]:
        """What `add_embedding` put beside the event files, by its tag and step."""
        config, path = ProjectorConfig(), self.folder / "projector_config.pbtxt"
        if path.is_file():
            text_format.Parse(path.read_text(encoding="utf-8"), config)
        found = {}
        for item in config.embeddings:
            path = self.folder / item.tensor_path
            vectors = np.loadtxt(path, delimiter="\t", ndmin=2)
            labels, sprite = [], None
            if item.metadata_path:
                text = (self.folder / item.metadata_path).read_text(encoding="utf-8")
                labels = text.splitlines()
            if item.sprite.image_path:
                sprite = _frames(self.folder / item.sprite.image_path)[0]
            vectors = torch.from_numpy(vectors)
            found[item.tensor_name] = Embedding(vectors, labels, sprite)
        return found

    def _arrays(self, plugin: str) -> dict[str, list[tuple[int, np.ndarray]]]:
        found = {}
        for tag in self.tags().get(plugin, []):
            events = self._read.Tensors(tag)
            found[tag] = [(e.step, make_ndarray(e.tensor_proto)) for e in events]
        return found


def _frames(file: Path | io.BytesIO) -> Tensor:
    with Image.open(file) as image:
        frames = []
        for number in range(getattr(image, "n_frames", 1)):
            image.seek(number)
            frames.append(np.array(image.convert("RGB")))
    return torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2)
