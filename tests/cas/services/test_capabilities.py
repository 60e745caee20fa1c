# SPDX-License-Identifier: Apache-2.0
"""WIRE 3.2: what Capabilities says is what the services do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytrace_cas.services.errors import BlobTooLarge, InvalidRequest
from pytrace_proto import bytestream_pb2 as bytestream
from pytrace_proto import remote_execution_pb2 as reapi
from tests.support import messages

if TYPE_CHECKING:
    from pytrace_cas.services import Services


def ask(services: Services) -> reapi.ServerCapabilities:
    return services.capabilities.get(reapi.GetCapabilitiesRequest(instance_name="any/instance"))


def test_rule_16_a_cache_and_no_execution(services: Services) -> None:
    answer = ask(services)
    assert answer.HasField("cache_capabilities")
    assert not answer.HasField("execution_capabilities")
    functions = list(answer.cache_capabilities.digest_functions)
    named = [reapi.DigestFunction.Value.Name(number) for number in functions]
    assert named == ["SHA256", "BLAKE3", "SHA384", "SHA512", "SHA1", "MD5"]


def test_rule_17_versions_from_2_0_to_2_12(services: Services) -> None:
    low, high = ask(services).low_api_version, ask(services).high_api_version
    assert (low.major, low.minor, high.major, high.minor) == (2, 0, 2, 12)


def test_rule_18_update_enabled_says_whether_uploads_are_taken(services: Services, reading: Services) -> None:
    def enabled(asked: Services) -> bool:
        return ask(asked).cache_capabilities.action_cache_update_capabilities.update_enabled

    assert (enabled(services), enabled(reading)) == (True, False)


def test_rule_19_the_batch_limit_is_enforced(services: Services) -> None:
    limit = ask(services).cache_capabilities.max_batch_total_size_bytes
    assert 0 < limit < 4 << 20
    cas = services.content_addressable_storage
    assert cas.batch_update(messages.update_request(b"x" * limit)).responses[0].status.code == 0
    assert len(cas.batch_read(messages.read_request(b"x" * limit)).responses[0].data) == limit
    with pytest.raises(InvalidRequest):
        cas.batch_update(messages.update_request(b"x" * limit, b"y"))
    with pytest.raises(InvalidRequest):
        cas.batch_read(messages.read_request(b"x" * limit, b"y"))


def test_rule_19_the_blob_limit_is_enforced(bounded: Services, services: Services) -> None:
    assert ask(bounded).cache_capabilities.max_cas_blob_size_bytes == 1000
    large, fits = b"x" * 1001, b"x" * 1000
    responses = bounded.content_addressable_storage.batch_update(messages.update_request(large, fits)).responses
    assert [response.status.code for response in responses] == [3, 0]
    write = bytestream.WriteRequest(resource_name=messages.upload_name(large), data=large, finish_write=True)
    with pytest.raises(BlobTooLarge):
        bounded.byte_stream.write().feed(write)
    # What came in another way may still be served.
    services.content_addressable_storage.batch_update(messages.update_request(large))
    read = bounded.content_addressable_storage.batch_read(messages.read_request(large))
    assert read.responses[0].data == large


def test_rule_20_zstd_is_announced(services: Services) -> None:
    cache = ask(services).cache_capabilities
    assert cache.supported_compressors == [reapi.Compressor.ZSTD]
    assert cache.supported_batch_update_compressors == [reapi.Compressor.ZSTD]


def test_rule_21_chunking_is_announced_with_the_recommended_numbers(services: Services, reading: Services) -> None:
    cache = ask(services).cache_capabilities
    assert (cache.split_blob_support, cache.splice_blob_support) == (True, True)
    assert (cache.fast_cdc_2020_params.avg_chunk_size_bytes, cache.fast_cdc_2020_params.seed) == (524288, 0)
    numbers = cache.rep_max_cdc_params
    assert (numbers.min_chunk_size_bytes, numbers.horizon_size_bytes) == (262144, 2097152)
    assert cache.symlink_absolute_path_strategy == reapi.SymlinkAbsolutePathStrategy.ALLOWED
    only_read = ask(reading).cache_capabilities
    assert (only_read.split_blob_support, only_read.splice_blob_support) == (True, False)
