"""The encoder at the edges of Python's types: subclasses of numbers and texts, and sums that no double holds."""

from __future__ import annotations

import math
from enum import IntEnum, StrEnum
from typing import Any, NamedTuple

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from cline_otel.bounded_cache import BoundedCache
from cline_otel.encode import attributes
from cline_otel.encode.metrics import encode_metrics
from cline_otel.encode.resource_and_scope import ResourceAndScope
from cline_otel.encode.wire import INT64_MAX, INT64_MIN, LENGTH_DELIMITED, tag
from cline_otel.signals import MetricDefinition, MetricTotal
from metric_points import points_of


class Number(IntEnum):
    NEGATIVE = -7
    ONE = 1
    SMALL = 5
    BEYOND = 2**70


class Word(StrEnum):
    SHORT = "act"
    LONG = "x" * 300


class Real(float):
    pass


class Names(NamedTuple):
    first: str
    second: str


def one_attribute(value: Any) -> KeyValue:
    encoded = attributes.field(tag(1, LENGTH_DELIMITED), (("name", value),))
    (pair,) = Resource.FromString(encoded).attributes
    return pair


def test_values_of_subclasses_that_equal_one_another_keep_their_types() -> None:
    kinds = [one_attribute(value).value.WhichOneof("value") for value in (Number.ONE, Real(1.0), True, Number.ONE)]
    assert kinds == ["int_value", "double_value", "bool_value", "int_value"]


@pytest.mark.parametrize(
    ("value", "base"),
    [
        *((number, int(number)) for number in Number),
        *((word, str(word.value)) for word in Word),
        (Real(1.5), 1.5),
        (Names("a", "b"), ("a", "b")),
    ],
)
def test_a_value_of_a_subclass_is_encoded_as_one_of_its_base(value: Any, base: Any) -> None:
    assert one_attribute(value) == one_attribute(base)


def sums(value_type: Any, total: float) -> Any:
    definitions = {"m": MetricDefinition("m", "counter", "1", "", value_type)}
    points = points_of([MetricTotal("m", (), total)])
    request = encode_metrics(points, definitions, ResourceAndScope((), "", "", ""), "delta")
    (point,) = (
        ExportMetricsServiceRequest.FromString(request).resource_metrics[0].scope_metrics[0].metrics[0].sum.data_points
    )
    return point


@pytest.mark.parametrize(("total", "expected"), [(10**400, math.inf), (-(10**400), -math.inf), (3, 3.0), (0, 0.0)])
def test_a_sum_that_no_double_holds_is_infinite(total: int, expected: float) -> None:
    assert sums("double", total).as_double == expected


@pytest.mark.parametrize(
    ("total", "expected"),
    [(math.inf, INT64_MAX), (-math.inf, INT64_MIN), (math.nan, 0), (2.0, 2), (2**64, INT64_MAX), (-(2**64), INT64_MIN)],
)
def test_a_sum_that_no_integer_holds_is_the_nearest_one(total: float, expected: int) -> None:
    assert sums("int", total).as_int == expected


def test_a_cache_encodes_again_only_what_it_could_not_keep() -> None:
    encoded: list[str] = []

    def encode(key: str) -> bytes:
        encoded.append(key)
        return key.encode()

    cache = BoundedCache(encode, 3, lambda _key, encoded: len(encoded) <= 2)
    for key in ("a", "b", "cc", "a", "b", "cc"):
        assert cache[key] == key.encode()
    assert encoded == ["a", "b", "cc"]
    assert [cache["ddd"], cache["ddd"]] == [b"ddd", b"ddd"]
    assert encoded[3:] == ["ddd", "ddd"], "it is too long to keep"
    assert len(cache) == 3
    assert cache["e"] == b"e"
    assert list(cache) == ["e"], "a full cache is emptied"
