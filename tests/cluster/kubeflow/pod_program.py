"""Runs in a component's pod in place of Kubeflow's launcher and Argo's emissary, with only Python and boto3.

It does what the launcher does: fetches input artifacts to where kfp's executor looks for them, runs the component's own
command with the executor's input, uploads the artifacts that the command wrote, and prints the outputs. On SIGTERM it
behaves as the launcher was observed to: the component gets the signal too, its output is a broken pipe from then on,
and half a second later the container is gone.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

DONE = "KUBEFLOW-DONE "


def local(uri):
    return Path("/s3") / uri.removeprefix("s3://")


def transfer(method, uri):
    import boto3

    bucket, _, key = uri.removeprefix("s3://").partition("/")
    path = local(uri)
    path.parent.mkdir(parents=True, exist_ok=True)
    client = boto3.client("s3")
    if method == "download":
        client.download_file(bucket, key, str(path))
    elif path.exists():
        client.upload_file(str(path), bucket, key)


def artifacts(executor_input, side):
    for listed in executor_input.get(side, {}).get("artifacts", {}).values():
        yield from listed["artifacts"]


def run(command):
    reader, writer = os.pipe()
    process = subprocess.Popen(command, stdout=writer, stderr=writer)
    os.close(writer)

    def end(number, frame):
        os.close(reader)
        process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        os._exit(143)

    signal.signal(signal.SIGTERM, end)
    threading.Thread(target=pump, args=(reader,), daemon=True).start()
    code = process.wait()
    time.sleep(0.2)
    return code


def pump(reader):
    try:
        while data := os.read(reader, 65536):
            os.write(2, data)
    except OSError:
        pass


def main():
    Path("/var/run/argo/template").write_text(os.environ.pop("KUBEFLOW_TEMPLATE"))
    executor_input = json.loads(os.environ["KUBEFLOW_EXECUTOR_INPUT"])
    for artifact in artifacts(executor_input, "inputs"):
        transfer("download", artifact["uri"])
    for artifact in artifacts(executor_input, "outputs"):
        local(artifact["uri"]).parent.mkdir(parents=True, exist_ok=True)
    if run(sys.argv[1:]):
        sys.exit(1)  # whatever the component's own code was
    for artifact in artifacts(executor_input, "outputs"):
        transfer("upload", artifact["uri"])
    said = Path(executor_input["outputs"]["outputFile"])
    print("\n" + DONE + (said.read_text() if said.exists() else "{}"), flush=True)


main()
