"""``llext inspect --memory``: what loading an extension costs a firmware's heap, as a table or as JSON."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from typing import Any

from llext_tools import arch as archs
from llext_tools import profile as profiles
from llext_tools.cli.board import agree, check_sizes, parse_heap, with_heap, zephyrs
from llext_tools.cli.kconfig import Kconfig, read_kconfig
from llext_tools.cli.parser import address
from llext_tools.cli.render import BOLD, Paint, columns, diagnostics_to_json, report, wrap
from llext_tools.diag import Reporter
from llext_tools.elf.model import ElfObject
from llext_tools.elf.read import load_object
from llext_tools.errors import LlextError
from llext_tools.files import read_bytes
from llext_tools.link.validate import find_arch
from llext_tools.llext.bill import LARGEST, Bill, HeapBill, Job, Row, memory_bill
from llext_tools.llext.config import KIB, Config
from llext_tools.llext.loaders import Storage

FIGURES = ("contents", "prepad", "gaps", "rounding", "own")
HEAD = ("contents", "prepad", "gaps", "rounding", "heap's")
ByStorage = Mapping[Storage, Bill | LlextError]
NAME, WIDTHS = 18, (10, 9, 9, 10, 9, 11)


def run(args: argparse.Namespace) -> int:
    obj = load_object(args.file)
    kconfig = read_kconfig(args.config)
    storage = Storage(args.storage or Storage.TEMPORARY.value)
    job = Job(
        data=read_bytes(args.file),
        name=args.file,
        arch=archs.load(kconfig.arch) if kconfig.arch else find_arch(obj, Reporter()),
        bits=kconfig.bits or obj.bits,
        config=configuration(args, kconfig),
        profile=profiles.load(args.profile or profiles.DEFAULT),
        storage=storage,
        peek=not args.no_peek,
        buffer=None if args.buffer is None else address(args.buffer, "--buffer"),
        imports=undefined(obj),
    )
    bill, error = memory_bill(job)
    by_storage = {kind: bill if kind is storage else other(job._replace(storage=kind)) for kind in Storage}
    if args.json:
        print(json.dumps(to_json(job, bill, by_storage, error), indent=2))
    else:
        print("\n".join(text(job, bill, by_storage, error, Paint(sys.stdout), columns())))
        sys.stdout.flush()
        if error:
            report(error.diagnostics)
    return error.exit_code if error else 0


def other(job: Job) -> Bill | LlextError:
    """The bill with another storage, or why there is none."""
    try:
        return memory_bill(job)[0]
    except LlextError as error:
        return error


def undefined(obj: ElfObject) -> tuple[str, ...]:
    return tuple(obj.symbols.names(obj.symbols.undefined.tolist()))


def configuration(args: argparse.Namespace, kconfig: Kconfig) -> Config:
    """The firmware that the options describe; what they leave open is Zephyr's default.

    Raises:
        UsageError: ``usage``.
    """
    agree(args.heap, args.config)
    config = zephyrs(args, kconfig)
    if args.heap is not None:
        config = with_heap(config, *parse_heap(args.heap))
    check_sizes(config, LARGEST)
    return config


def text(job: Job, bill: Bill, by_storage: ByStorage, error: LlextError | None, paint: Paint, width: int) -> list[str]:
    """The bill for a person."""
    how = [job.profile.name, f"protection {job.config.protection}", f"storage {job.storage.value}"]
    how += [] if job.peek else ["no peek"]
    lines = wrap(f"{paint(job.name, BOLD)}: {job.arch.name}, {job.bits} bits; {', '.join(how)}", width, "  ")
    if error:
        lines += ["", paint("It does not fit. This is the bill with the smallest heap that is enough:", BOLD)]
    for heap in bill.heaps:
        lines += ["", *heap_lines(heap, job.config, paint)]
    lines += ["", *storage_lines(by_storage, paint, width)]
    lines += ["", f"ELF buffer: {len(job.data):,} bytes, all of which have to stay if any region does"]
    lines += wrap(protection(job.config, bill), width, "  ")
    return [*lines, f"alloc_size of struct llext, as in the board's log: {bill.alloc_size:,} bytes"]


def heap_lines(heap: HeapBill, config: Config, paint: Paint) -> list[str]:
    """One heap: each allocation, and what is left."""
    kind = "memblk" if config.heap == "memblk" and "METADATA" not in heap.option else "k_heap"
    lines = [paint(f"{heap.option}: {heap.size:,} bytes of {kind} at {heap.start:#010x}", BOLD)]
    lines.append(_line("", *HEAD, "total"))
    freed = [row for row in heap.rows if not row.kept]
    lines += [_row(row) for row in heap.rows if row.kept]
    lines.append(paint(_total("kept while it is loaded", heap.taken), BOLD))
    if freed:
        lines += [*map(_row, freed), paint(_total("peak while it loads", heap.peak), BOLD)]
    pieces = f", at most {heap.largest:,} of it at once" if heap.largest < heap.left else ""
    lines += [_total("the heap's own tables", heap.own), _total(f"left{pieces}", heap.left)]
    return [*lines, f"  smallest: {smallest(heap, config)}"]


def _row(row: Row) -> str:
    return _line(row.what, *(getattr(row, figure) for figure in FIGURES), row.total)


def _total(name: str, total: int) -> str:
    return f"  {name:{NAME + sum(WIDTHS[:-1])}}{total:>{WIDTHS[-1]},}"


def _line(name: str, *cells: int | str) -> str:
    shown = (cell if isinstance(cell, str) else f"{cell:,}" if cell else "-" for cell in cells)
    return f"  {name:{NAME}}" + "".join(f"{cell:>{width}}" for cell, width in zip(shown, WIDTHS, strict=True))


def smallest(heap: HeapBill, config: Config) -> str:
    if config.heap == "dynamic":
        return f"{heap.smallest * KIB:,} bytes for {heap.option}"
    return f"{heap.option}={heap.smallest}"


def storage_lines(by_storage: ByStorage, paint: Paint, width: int) -> list[str]:
    """What each kind of storage costs, and what stays in the ELF buffer."""
    lines = [paint(f"{'storage':14}{'kept':>10}{'peak':>10}{'smallest':>10}  in the ELF buffer", BOLD)]
    for storage, bill in by_storage.items():
        if isinstance(bill, LlextError):
            lines.append(f"  {storage.value:12}{f'-{bill.errno}' if bill.errno else 'undefined':>10}")
            continue
        names = ", ".join(name for name, _ in bill.in_place) or "nothing"
        names += f" ({sum(size for _, size in bill.in_place):,})" if bill.in_place else ""
        taken, peak = sum(heap.taken for heap in bill.heaps), sum(heap.peak for heap in bill.heaps)
        least = "+".join(str(heap.smallest) for heap in bill.heaps) + " KiB"
        first, *rest = wrap(names, max(width - 46, 30), "")
        lines.append(f"  {storage.value:12}{taken:>10,}{peak:>10,}{least:>10}  {first}")
        lines += [" " * 46 + line for line in rest]
    return lines


def protection(config: Config, bill: Bill) -> str:
    """What a memory domain costs."""
    if config.protection == "none":
        return "MPU regions: none without protection"
    if config.protection == "page":
        return "MPU regions: none, an MMU protects pages"
    unit = "PMP entries" if config.protection == "pmp" else "MPU regions"
    more = f", up to {2 * bill.mpu_regions} with CONFIG_MPU_GAP_FILLING" if config.protection == "mpu-32" else ""
    return f"{unit}: {bill.mpu_regions} for a domain with {', '.join(bill.protected) or 'nothing'}{more}"


def to_json(job: Job, bill: Bill, by_storage: ByStorage, error: LlextError | None) -> dict[str, Any]:
    """The same as JSON; sizes are bytes. If it does not fit, ``heaps`` are the smallest that are enough."""
    return {
        "file": job.name,
        "arch": job.arch.name,
        "bits": job.bits,
        "profile": job.profile.name,
        "heap_kind": job.config.heap,
        "protection": job.config.protection,
        "storage": job.storage.value,
        "fits": error is None,
        "heaps": [_heap_to_json(heap) for heap in bill.heaps],
        "in_elf_buffer": [{"region": name, "size": size} for name, size in bill.in_place],
        "partitions": list(bill.protected),
        "mpu_regions": bill.mpu_regions,
        "alloc_size": bill.alloc_size,
        "storages": {
            storage.value: {
                "taken": sum(heap.taken for heap in each.heaps),
                "peak": sum(heap.peak for heap in each.heaps),
                "smallest_kib": {heap.option: heap.smallest for heap in each.heaps},
                "in_elf_buffer": [name for name, _ in each.in_place],
            }
            for storage, each in by_storage.items()
            if isinstance(each, Bill)
        },
        "diagnostics": diagnostics_to_json(error.diagnostics if error else ()),
    }


def _heap_to_json(heap: HeapBill) -> dict[str, Any]:
    return {
        "option": heap.option,
        "start": heap.start,
        "size": heap.size,
        "own_tables": heap.own,
        "taken": heap.taken,
        "left": heap.left,
        "largest_piece": heap.largest,
        "peak": heap.peak,
        "smallest_kib": heap.smallest,
        "allocations": [{**row._asdict(), "total": row.total} for row in heap.rows],
    }
