"""Starts a Jupyter kernel over sockets in a directory of our own, and runs code in it that imports."""
import os
import tempfile

from jupyter_client.manager import KernelManager

with tempfile.TemporaryDirectory() as directory:
    manager = KernelManager(transport="ipc", connection_file=os.path.join(directory, "kernel.json"), ip=os.path.join(directory, "s"))
    manager.start_kernel()
    client = manager.client()
    try:
        client.start_channels()
        client.wait_for_ready(timeout=120)

        def show(message):
            content = message["content"]
            print(message["msg_type"], content.get("text"), content.get("data", {}).get("text/plain"), content.get("ename"))

        for code in ("import helper, numpy; print(helper.__file__)", "helper.double(21)", "helper.double(None)", "helper.double?", "%pwd"):
            client.execute_interactive(code, timeout=120, output_hook=show)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
