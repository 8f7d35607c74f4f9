"""Starts the policy pack as Pulumi's command line does, and asks it as Pulumi's engine does."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import empty_pb2, struct_pb2
from pulumi.runtime import proto
from pulumi.runtime.proto import analyzer_pb2_grpc

from policy.rule import Graph, Resource
from tests.infra.support.recorder import REPOSITORY

ENGINE = "127.0.0.1:1"
"""Where the engine would listen; the pack never calls back."""


class Analyzer:
    def __init__(self, channel: grpc.Channel) -> None:
        self._stub = analyzer_pb2_grpc.AnalyzerStub(channel)

    def info(self) -> Any:
        return self._stub.GetAnalyzerInfo(empty_pb2.Empty())

    def analyze(self, resource: Resource) -> list[Any]:
        """What the pack says before the resource is made."""
        request: Any = proto.AnalyzeRequest(
            type=resource.type,
            name=resource.name,
            urn=resource.urn,
            properties=_struct(resource.props),
        )
        return list(self._stub.Analyze(request).diagnostics)

    def analyze_stack(self, graph: Graph) -> list[Any]:
        """What the pack says of the whole stack."""
        request: Any = proto.AnalyzeStackRequest(resources=[_resource(r) for r in graph.resources])
        return list(self._stub.AnalyzeStack(request).diagnostics)


def _resource(resource: Resource) -> Any:
    return proto.AnalyzerResource(
        type=resource.type,
        name=resource.name,
        urn=resource.urn,
        properties=_struct(resource.props),
        propertyDependencies={
            key: proto.AnalyzerPropertyDependencies(urns=sorted(urns))
            for key, urns in resource.uses.items()
        },
    )


def _struct(props: Mapping[str, Any]) -> struct_pb2.Struct:
    """Without archives, which no rule looks at."""
    struct = struct_pb2.Struct()
    struct.update({key: value for key, value in props.items() if key != "code"})
    return struct


@contextmanager
def analyzer() -> Iterator[Analyzer]:
    pack = REPOSITORY / "policy"
    environment = {"PATH": os.environ["PATH"], "HOME": str(Path.home())}
    with subprocess.Popen(
        [sys.executable, "-u", "-m", "pulumi.policy", ENGINE, "."],
        cwd=pack,
        env=environment,
        stdout=subprocess.PIPE,
    ) as process:
        try:
            assert process.stdout is not None
            port = int(process.stdout.readline())
            with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
                yield Analyzer(channel)
        finally:
            process.terminate()
