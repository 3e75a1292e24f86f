"""Tests of tests/integration that mean the same on Windows, run there as they stand."""

from test_forwards import (  # noqa: F401
    test_local_bind_address,
    test_port_zero_asks_for_the_same_again,
    test_refused_target_closes_that_channel,
    test_several_tunnels_in_one_process,
    test_slow_reader_freezes_only_its_own,
    test_target_over_ipv6,
)
from test_half_close import (  # noqa: F401
    TestSizes,
    test_abort_ends_the_other_side,
    test_everything_sent_before_the_end_arrives,
    test_hundred_endings_leak_nothing,
    test_reset_of_the_target_arrives_as_end,
)
from test_servers import TestServers  # noqa: F401
from test_stop import (  # noqa: F401
    test_channels_may_finish,
    running,
    test_second_signal_ends_at_once,
    test_stop_while_the_peer_is_away,
)
