"""The policy pack: run by Pulumi's command line, which has it check every resource.

`pulumi preview --policy-pack policy` starts it as `python -u -m pulumi.policy ENGINE .` here.
"""

import sys
from pathlib import Path

from pulumi_policy import PolicyPack

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from policy.pack import PACK_NAME, policies

PolicyPack(name=PACK_NAME, policies=policies())
