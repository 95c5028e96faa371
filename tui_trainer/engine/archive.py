"""The one place that opens a `.pt`. Whoever wrote it: nothing in it is executed, and it costs no more memory
than it has bytes.

A file is looked at from outside first: it must be laid out as `torch.save` lays it out (a zip archive that
compresses nothing), and its pickle may name nothing but what rebuilds plain tensors and containers. Only then
does torch read it, with `weights_only=True`. What comes out is rebuilt as plain values, so no object that a
file made up, and no tensor that is larger than the file, gets any further.
"""

from __future__ import annotations

import os
import pickletools
import re
import struct
import zipfile
from collections import Counter, OrderedDict
from pathlib import Path
from typing import IO, Any, cast

import torch
from torch import Tensor

from tui_trainer.errors import FileError, TrainerError
from tui_trainer.files import open_plain

NEEDED = (2, 10)
"""Before this torch a crafted file could corrupt memory even with weights_only (CVE-2026-24747)."""

DIRECTORY_BYTES = PICKLE_BYTES = 64 << 20
"""Some 300,000 tensors."""
DEEPEST = 60

_END, _LOCATOR, _RECORD = struct.Struct("<4s4H2LH"), struct.Struct("<4sLQL"), struct.Struct("<4sQ2H2L4Q")
"""The tail of a zip file: its end; before it, in what torch writes, where the 64-bit record is, and that."""

_REBUILT = re.compile(
    r"torch\._utils _rebuild_(tensor_v[23]|parameter(_with_state)?|sparse_tensor)"
    r"|torch\.serialization _get_layout|torch\.storage UntypedStorage"
    r"|torch (\w+Storage|Size|device|(bfloat|float|complex|u?int)\w+|bool)"
    r"|collections (OrderedDict|Counter)|_codecs encode|__builtin__ (set|bytearray|complex)"
)
"""What a pickle may name, as `module name`."""
_IMPORTS = ("STACK_GLOBAL", "INST", "OBJ", "EXT1", "EXT2", "EXT4")
"""Other ways for a pickle to name something; torch writes none of them."""

_SCALARS = (type(None), bool, int, float, complex, str, bytes, bytearray, torch.dtype, torch.device)
_HOLDS = "a checkpoint holds nothing but tensors and plain values"
_HINT = "get it again from where it was made; tui-train checkpoints verify RUN shows which files are good"
_PLAIN_HINT = (
    "don't load it by other means unless you trust whoever made it, who can save it anew with plain values: "
    "tensor.detach().contiguous(), a list for a frozenset"
)
_LEGACY_HINT = (
    "whoever trusts it can write it anew: torch.save(torch.load(OLD, weights_only=True), NEW) with torch 2"
)


class _Refused(Exception):
    """Why a file is refused, and what to do about it."""

    def __init__(self, why: str, hint: str = _HINT) -> None:
        super().__init__(why)
        self.hint = hint


def load(path: Path) -> Any:
    """Read a `.pt`.

    Returns:
        Its content on the host: None, numbers, text, bytes, dtypes, devices, plain dicts, lists, tuples and
        sets of these, and tensors that carry no attributes.

    Raises:
        FileError: it is missing, unreadable, damaged, or holds anything else.
        TrainerError: this torch is too old to read it safely.
    """
    require_torch()
    try:
        with open_plain(path) as file:
            size = os.fstat(file.fileno()).st_size
            pickle_bytes = _look(file, size)
            file.seek(0)
            # Off by default: the indices of a sparse tensor are addresses to whoever computes with it.
            with torch.sparse.check_sparse_tensor_invariants(True):  # type: ignore[no-untyped-call]
                value = torch.load(cast("IO[bytes]", file), map_location="cpu", weights_only=True)
            return _Plain(size, pickle_bytes).rebuilt(value, 0)
    except FileNotFoundError as error:
        hint = "tui-train checkpoints list RUN shows what there is"
        raise FileError("checkpoint file missing", str(path), hint) from error
    except _Refused as error:
        raise FileError("checkpoint refused", f"{path}: {error}", error.hint) from error
    except OSError as error:
        raise FileError("checkpoint can't be read", f"{path}: {error.strerror or error}", _HINT) from error
    except Exception as error:
        # torch raises nearly anything on damaged data: UnpicklingError, RuntimeError, EOFError, KeyError, …
        reason = str(error).split("\n", 1)[0] or type(error).__name__
        raise FileError("checkpoint can't be read", f"{path}: {reason}", _HINT) from error


def require_torch(version: str = torch.__version__) -> None:
    """Refuse a torch whose loader is not safe.

    Raises:
        TrainerError: it is older than `NEEDED`.
    """
    found = tuple(int(number) for number in re.findall(r"\d+", version)[:2])
    if found < NEEDED:
        needed = ".".join(map(str, NEEDED))
        raise TrainerError(
            "torch is too old",
            f"checkpoints are not read with torch {version}: a crafted file could take it over",
            f"pip install 'torch>={needed}'",
        )


def _look(file: IO[bytes], size: int) -> int:
    """Look at an archive without unpacking it. Returns the bytes of its pickle."""
    _check_start(file)
    start, count = _directory(file, size)
    try:
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            pickled = _check_members(members, start, count, size)
            data = archive.read(pickled)
    except (zipfile.BadZipFile, NotImplementedError, struct.error, ValueError) as error:
        raise _Refused(f"it is damaged ({str(error).lower()})") from error
    _check_pickle(data)
    return len(data)


def _check_start(file: IO[bytes]) -> None:
    start = file.read(512)
    if not start:
        raise _Refused("it is empty")
    if start.startswith(b"PK\x03\x04"):
        return
    if start[:1] == b"\x80" or start[257:262] == b"ustar":
        raise _Refused("it has the format of torch before 1.6, a bare pickle or tar", _LEGACY_HINT)
    raise _Refused("it was not written by torch.save")


def _directory(file: IO[bytes], size: int) -> tuple[int, int]:
    """Where the archive's table of contents begins, and how many members it names.

    The tail is read strictly as torch writes it, for readers of zip files differ in what else they accept,
    and torch must not see another archive than the one that is checked here.
    """
    sizes = (_RECORD.size, _LOCATOR.size, _END.size)
    file.seek(max(0, size - sum(sizes)))
    tail = file.read(sum(sizes))
    if len(tail) < sum(sizes) or tail[-_END.size :][:4] != b"PK\x05\x06":
        raise _Refused("its end is missing, as of a file that was cut off")
    end = _END.unpack(tail[-_END.size :])
    locator = _LOCATOR.unpack_from(tail, _RECORD.size)
    stop, count, length, start = size - _END.size, end[4], end[5], end[6]
    if locator[0] == b"PK\x06\x07":
        record = _RECORD.unpack_from(tail)
        stop = size - sum(sizes)
        count, length, start = record[7:10]
        if record[0] != b"PK\x06\x06" or locator[2] != stop:
            raise _Refused("its table of contents is not where torch puts it")
    if end[7] or start + length != stop:
        raise _Refused("its table of contents is not where torch puts it")
    if length > DIRECTORY_BYTES:
        raise _Refused(f"its table of contents has {length:,} bytes")
    return start, count


def _check_members(members: list[zipfile.ZipInfo], start: int, count: int, size: int) -> zipfile.ZipInfo:
    """Refuse what torch would not write. Returns the member that holds the pickle."""
    if len(members) != count:
        raise _Refused(f"its table of contents names {len(members):,} members and counts {count:,}")
    tops, seen = set(), set()
    for member in members:
        name = member.orig_filename
        parts = name.split("/")
        if "\\" in name or not name.isprintable() or len(parts) < 2 or {"", ".", ".."} & set(parts):
            raise _Refused(f"it holds a file of the name {name!r}")
        if name.casefold() in seen:
            raise _Refused(f"it holds {name!r} twice")
        seen.add(name.casefold())
        tops.add(parts[0])
        if member.compress_type != zipfile.ZIP_STORED or member.flag_bits & 1:
            raise _Refused(f"{name} in it is compressed or encrypted, which torch.save does not do")
        if member.compress_size != member.file_size:
            raise _Refused(f"{name} in it has two sizes")
    ordered = sorted(members, key=lambda member: member.header_offset)
    ends = [*(member.header_offset for member in ordered[1:]), start]
    for member, end in zip(ordered, ends, strict=True):
        if member.header_offset + 30 + len(member.orig_filename) + member.file_size > end:
            raise _Refused(f"{member.orig_filename} in it overlaps with what follows")
    pickles = [member for member in members if member.orig_filename.endswith("/data.pkl")]
    if len(tops) != 1 or len(pickles) != 1 or pickles[0].orig_filename.count("/") != 1:
        raise _Refused("it is a zip archive, but not one of torch.save")
    if pickles[0].file_size > PICKLE_BYTES:
        raise _Refused(f"its pickle has {pickles[0].file_size:,} bytes")
    return pickles[0]


def _check_pickle(data: bytes) -> None:
    """Read a pickle's instructions without following them: refuse one that names anything else."""
    for instruction, argument, _ in pickletools.genops(data):
        named = argument if isinstance(argument, str) else instruction.name
        if instruction.name in _IMPORTS or (instruction.name == "GLOBAL" and not _REBUILT.fullmatch(named)):
            raise _Refused(f"it asks for {named.replace(' ', '.')!r}, and {_HOLDS}", _PLAIN_HINT)


class _Plain:
    """Rebuilds what a file held, from plain values.

    Args:
        size: bytes of the file.
        pickle_bytes: bytes of its pickle.
    """

    def __init__(self, size: int, pickle_bytes: int) -> None:
        self._room = size
        # A few bytes may refer to something large again and again.
        self._values = 100_000 + pickle_bytes
        self._storages: set[int] = set()

    def rebuilt(self, value: Any, depth: int) -> Any:
        """A copy of `value` that shares its tensors' memory."""
        self._values -= 1
        if self._values < 0 or depth > DEEPEST:
            raise _Refused("its values are nested too deeply")
        kind = type(value)
        if kind is Tensor or kind is torch.nn.Parameter:
            return self._tensor(value)
        if kind in (dict, OrderedDict, Counter):
            return {
                self.rebuilt(key, depth + 1): self.rebuilt(part, depth + 1) for key, part in dict.items(value)
            }
        if kind in (list, tuple, set):
            return kind(self.rebuilt(part, depth + 1) for part in value)
        if kind in _SCALARS or kind is torch.Size:
            return value
        raise _Refused(f"it holds a {kind.__name__}, and {_HOLDS}", _PLAIN_HINT)

    def _tensor(self, stored: Tensor) -> Tensor:
        # A parameter may come with attributes of any name: its methods are not asked, and it goes no further.
        tensor = Tensor.detach(stored)
        if tensor.device.type != "cpu" or tensor.is_quantized or tensor.is_nested:
            raise _Refused("it holds a tensor without values, or of a special kind", _PLAIN_HINT)
        for part in _dense_parts(tensor):
            storage = part.untyped_storage()
            if part.numel() * part.element_size() > storage.nbytes():
                shape = tuple(part.shape)
                raise _Refused(f"a tensor of shape {shape} is larger than what is stored of it", _PLAIN_HINT)
            if storage.data_ptr() not in self._storages:
                self._storages.add(storage.data_ptr())
                self._room -= storage.nbytes()
        if self._room < 0:
            raise _Refused("its tensors are larger than the file")
        return tensor


def _dense_parts(tensor: Tensor) -> tuple[Tensor, ...]:
    """The strided tensors that a tensor is made of."""
    if tensor.layout == torch.strided:
        return (tensor,)
    if tensor.layout == torch.sparse_coo:
        return tensor._indices(), tensor._values()
    if tensor.layout in (torch.sparse_csr, torch.sparse_bsr):
        return tensor.crow_indices(), tensor.col_indices(), tensor.values()
    if tensor.layout in (torch.sparse_csc, torch.sparse_bsc):
        return tensor.ccol_indices(), tensor.row_indices(), tensor.values()
    raise _Refused(f"it holds a tensor of the layout {tensor.layout}")
