"""The `[launch]` section of a plan: which engine starts the workers, and what each of them gets."""

from typing import Annotated, Literal, get_args

from pydantic import Field

from mixlaw.section import Section

EngineName = Literal["local", "slurm", "ray"]

ENGINES: tuple[str, ...] = get_args(EngineName)

Positive = Annotated[int, Field(gt=0)]


class SlurmOptions(Section):
    """How workers are asked of Slurm.

    Attributes:
        partition, account: as `sbatch` takes them; the cluster's own when empty.
        time_limit_minutes: of a worker; one that reaches it is queued again and goes on.
        options: further options of `sbatch` by their long names, such as `qos = "high"`.
        setup: shell lines that run before a worker, such as `module load cuda`.
    """

    partition: str = ""
    account: str = ""
    time_limit_minutes: Positive = 240
    options: dict[str, str | int | float | bool] = {}
    setup: tuple[str, ...] = ()


class RayOptions(Section):
    """Which Ray cluster the workers run on.

    Attributes:
        address: of the cluster, as `ray.init` takes it; "auto" finds the one that this machine belongs to.
    """

    address: str = "auto"


class Launch(Section):
    """Where runs are trained; nothing here changes what a run measures but whether it is on a GPU.

    Attributes:
        engine: "local" (this machine), "slurm" or "ray".
        workers: packs trained at a time; by default one a core or one a GPU of this machine or of the Ray cluster.
        cpus, gpus, memory_gb: of one worker, on a cluster.
        checkpoints: whether proxies save their state every two minutes, too, and go on from there when they were
            stopped; full runs always do.
        slurm, ray: what only these engines need.
    """

    engine: EngineName = "local"
    workers: Positive | None = None
    cpus: Positive = 1
    gpus: Annotated[int, Field(ge=0)] = 0
    memory_gb: Annotated[float, Field(gt=0)] | None = None
    checkpoints: bool = False
    slurm: SlurmOptions = SlurmOptions()
    ray: RayOptions = RayOptions()
