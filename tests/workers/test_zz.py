import pytest
from tests.workers.test_campaign_ending import *
from tests.workers.test_campaign_ending import test_the_process_wants_to_end as t1
@pytest.mark.parametrize("n", range(40))
async def test_zz(make_stage, n):
    await t1(make_stage)
