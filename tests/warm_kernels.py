"""nbval's kernels, started warm (see `tests.warm`).

`python -m tests.execute` starts each kernel anew: what is committed comes from those.
"""

import os
from importlib.metadata import EntryPoint
from pathlib import Path

from jupyter_client import KernelConnectionInfo
from jupyter_client.provisioning import KernelProvisionerFactory, LocalProvisioner
from nbval.kernel import NbvalKernelspecManager

from tests import warm

NAME = "warm-provisioner"
INLINE = "module://matplotlib_inline.backend_inline"  # as ipykernel sets it
MODULES = ("ipykernel.kernelapp", "IPython.core.completer", *warm.PRELOADED)


def environment(env: dict[str, str] | None) -> dict[str, str]:
    """What a kernel gets; as `Popen` does, this process's one where none is given."""
    return {"MPLBACKEND": INLINE, **(os.environ if env is None else env)}


class WarmProvisioner(LocalProvisioner):
    """Forks the kernel instead of starting an interpreter."""

    async def pre_launch(self, **kwargs) -> dict[str, object]:
        """Choose ports only when the server is up: until a kernel listens at them, in
        half a second, another process may take one, and the kernel would hang."""
        warm.server(environment(kwargs.get("env")), MODULES).ask({"ready": True})
        return await super().pre_launch(**kwargs)

    async def launch_kernel(self, cmd: list[str], **kwargs) -> KernelConnectionInfo:
        env = environment(kwargs["env"])
        # The kernel ends with its parent, which is the server.
        env["JPY_PARENT_PID"] = str(warm.server(env, MODULES).pid)
        self.process = warm.start(
            cmd[cmd.index("-m") :],
            cwd=kwargs["cwd"],
            env=env,
            stdout=kwargs.get("stdout"),
            stderr=kwargs.get("stderr"),
            modules=MODULES,
        )
        self.pid = self.pgid = self.process.pid
        self.cwd = Path(kwargs["cwd"])
        return self.connection_info


def use() -> None:
    """Let nbval start its kernels so, where that can be."""
    if not warm.FORKS:
        return
    KernelProvisionerFactory.provisioners[NAME] = EntryPoint(
        NAME, f"{__name__}:WarmProvisioner", KernelProvisionerFactory.GROUP_NAME
    )
    plain = NbvalKernelspecManager.get_kernel_spec

    def get_kernel_spec(self, kernel_name: str):
        spec = plain(self, kernel_name)
        spec.metadata = {"kernel_provisioner": {"provisioner_name": NAME}}
        return spec

    NbvalKernelspecManager.get_kernel_spec = get_kernel_spec
