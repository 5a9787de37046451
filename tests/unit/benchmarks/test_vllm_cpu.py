"""What vLLM for CPUs needs of the system is named before it is started."""

import pytest

from benchmarks.vllm_cpu.environment import VllmUnavailableError, check_libraries


def test_a_missing_library_is_named_with_its_package() -> None:
    check_libraries({"libc.so.6": "libc6"})
    with pytest.raises(VllmUnavailableError, match=r"needs libabsent\.so\.1: apt-get install libabsent1"):
        check_libraries({"libc.so.6": "libc6", "libabsent.so.1": "libabsent1"})
