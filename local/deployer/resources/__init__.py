"""One handler per type of resource, by service."""

from collections.abc import Callable

from local.deployer.resource import Aws, Created, RequestedResource
from local.deployer.resources import (
    batch,
    compute_network,
    events,
    functions,
    identity,
    images,
    messaging,
    storage,
    tables_and_keys,
    workflows,
)

Handler = Callable[[Aws, RequestedResource], Created]

HANDLERS: dict[str, Handler] = {
    **batch.HANDLERS,
    **compute_network.HANDLERS,
    **events.HANDLERS,
    **functions.HANDLERS,
    **identity.HANDLERS,
    **images.HANDLERS,
    **messaging.HANDLERS,
    **storage.HANDLERS,
    **tables_and_keys.HANDLERS,
    **workflows.HANDLERS,
}
