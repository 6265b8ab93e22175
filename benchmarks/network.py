"""Network inversion: this library beside other programs, in one run on the same CPUs.

    python benchmarks/network.py                      # one core, every peer that is installed
    python benchmarks/network.py --threads 2 --peers none

The script starts itself again with every thread pool limited and the process bound to ``--threads`` CPUs, the
same as ``OMP_NUM_THREADS=1 ... taskset -c 0 python benchmarks/network.py``. The peers come with
``python -m pip install "subsidence[peers]"``. Rates are the best of several runs after a first one, which
compiles or loads compiled code and is reported beside them.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass

import network_problem
import numpy as np
from _machine import CLOCKS, best_of, describe, limit_cpus, timed
from network_problem import NetworkProblem
from peers import PEERS, Answer, Array, Job, Peer, quiet

import subsidence as sd

OURS = "subsidence"


@dataclass(frozen=True)
class Case:
    name: str
    weighted: bool = False
    complete: bool = False
    long_links: bool = False

    def phase(self, problem: NetworkProblem) -> Array:
        return problem.complete if self.complete else problem.phase

    def weights(self, problem: NetworkProblem) -> Array | None:
        return problem.weights if self.weighted else None


CASES = (
    Case("weights, 5 % NaN", weighted=True),
    Case("uniform, 5 % NaN"),
    Case("uniform, no NaN", complete=True),
    Case("long links, weights, 5 % NaN", weighted=True, long_links=True),
)


@dataclass(frozen=True)
class Row:
    case: str
    solver: str
    pixels: int
    rate: float  # pixels/s
    first: float  # seconds of the first call
    difference: float  # rad, largest from float64 least squares


def ours(problem: NetworkProblem, case: Case, *, threads: int | None = 1) -> Job:
    """This library's inversion, as a user calls it: everything that it returns is computed."""
    stack = network_problem.dataset(problem, complete=case.complete)
    weights = "variance" if case.weighted else None

    def read(series) -> Answer:
        displacement = series["displacement"].values.reshape(-1, problem.pixels).astype(np.float64)
        phase = displacement * (-4 * np.pi / network_problem.WAVELENGTH)
        return Answer(phase, series["temporal_coherence"].values.ravel())

    return Job(lambda: sd.invert_network(stack, weights=weights, threads=threads), read)


def theirs(peer: Peer, problem: NetworkProblem, case: Case) -> Job:
    return peer.prepare(
        case.phase(problem), problem.first, problem.second, problem.dates(), weights=case.weights(problem)
    )


def compare(
    case: Case,
    peers: list[Peer],
    *,
    pixels: int,
    slow_pixels: int,
    check_pixels: int,
    threads: int,
    repeats: int,
    clock: str,
) -> list[Row]:
    """
    Rows of one case, ours first. Peers that solve pixel by pixel get `slow_pixels` of the same pixels.

    The solvers run by turns, so that a slow moment of the machine meets them all.
    """
    problem = network_problem.make(pixels, long_links=case.long_links)
    few = problem if case.complete else problem.head(min(slow_pixels, pixels))
    part = problem.head(min(check_pixels, slow_pixels, pixels))
    truth = network_problem.least_squares(case.phase(part), part.first, part.second, case.weights(part))

    entrants = [_Entrant(OURS, problem.pixels, ours(problem, case, threads=threads))]
    entrants += [
        _Entrant(peer.name, few.pixels, theirs(peer, few, case)) for peer in peers if peer.weighted or not case.weighted
    ]
    with quiet():
        for entrant in entrants:
            entrant.first = timed(entrant.job.run, clock=clock)
        for _ in range(repeats):
            for entrant in entrants:
                entrant.best = min(entrant.best, best_of(entrant.job.run, least_seconds=0.3, clock=clock))
        rows = []
        for entrant in entrants:
            difference = entrant.job.answer().phase[:, : part.pixels] - truth
            worst = float(np.nanmax(np.abs(difference)))
            rate = entrant.pixels / entrant.best
            rows.append(Row(case.name, entrant.name, entrant.pixels, rate, entrant.first, worst))
    return rows


@dataclass
class _Entrant:
    name: str
    pixels: int
    job: Job
    first: float = math.nan
    best: float = math.inf


def table(rows: list[Row]) -> str:
    lines = [
        "| case | solver | pixels | pixels/s | ours / theirs | largest difference from float64, rad | first call, s |",
        "|---|---|---|---|---|---|---|",
    ]
    own = {row.case: row.rate for row in rows if row.solver == OURS}
    for row in rows:
        ratio = "" if row.solver == OURS else f"{own[row.case] / row.rate:.2f} x"
        cells = (row.case, row.solver, f"{row.pixels:,}", f"{row.rate:,.0f}", ratio)
        lines.append(f"| {' | '.join(cells)} | {row.difference:.1e} | {row.first:.2f} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pixels", type=int, default=100_000)
    parser.add_argument("--slow-pixels", type=int, default=2_000, help="for peers that solve pixel by pixel")
    parser.add_argument("--check-pixels", type=int, default=1_000, help="compared with float64 least squares")
    parser.add_argument("--threads", type=int, default=1, help="CPUs that every solver gets")
    parser.add_argument("--repeats", type=int, default=3, help="rounds after the first")
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="cpu: for one thread on a busy machine")
    parser.add_argument("--peers", nargs="*", choices=[*PEERS, "none"], default=list(PEERS))
    parser.add_argument("--cases", nargs="*", type=int, choices=range(len(CASES)), default=range(len(CASES)))
    arguments = parser.parse_args()
    if arguments.clock == "cpu" and arguments.threads > 1:
        parser.error("--clock cpu adds up threads: it is for --threads 1")
    limit_cpus(arguments.threads)

    peers = []
    for name in arguments.peers:
        if name != "none":
            reason = PEERS[name].missing()
            if reason is None:
                peers.append(PEERS[name])
            else:
                print(f"left out: {reason}")
    print(f"{describe()}; {arguments.threads} CPU(s), {arguments.clock} time\n")
    rows = []
    for index in arguments.cases:
        rows += compare(
            CASES[index],
            peers,
            pixels=arguments.pixels,
            slow_pixels=arguments.slow_pixels,
            check_pixels=arguments.check_pixels,
            threads=arguments.threads,
            repeats=arguments.repeats,
            clock=arguments.clock,
        )
    print(table(rows))


if __name__ == "__main__":
    main()
