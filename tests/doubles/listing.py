"""Lists of resources, as the job service returns them: filtered, the newest first, a page at a time."""

from collections.abc import Mapping

from tests.doubles.logs import clauses, compared
from tests.doubles.server import ApiError, Json, Request

LARGEST_PAGE = 100


def listed(request: Request, collection: str, resources: Mapping[str, Json], parent: str) -> Json:
    """Return one page of the resources below a parent that match the request's filter; `resources` are by name."""
    required = clauses(request.value("filter"))
    found = [
        resource
        for name, resource in reversed(list(resources.items()))
        if name.startswith(f"{parent}/") and all(fits(resource, *each) for each in required)
    ]
    first = int(request.value("pageToken") or 0)
    size = int(request.value("pageSize") or LARGEST_PAGE)
    page: Json = {collection: found[first : first + size]}
    if first + size < len(found):
        page["nextPageToken"] = str(first + size)
    return page


def fits(resource: Json, name: str, comparison: str, value: str) -> bool:
    """Return whether a resource matches a clause of a filter; raise ApiError for an unknown field."""
    known = {
        "display_name": resource["displayName"],
        "displayName": resource["displayName"],
        "state": resource["state"],
        "create_time": resource["createTime"],
        "update_time": resource.get("updateTime", resource["createTime"]),
    }
    if name.startswith("labels."):
        label = resource.get("labels", {}).get(name.removeprefix("labels."))
        if comparison == ":" and value == "*":
            return label is not None
        return label is not None and compared(label, comparison, value)
    if name not in known:
        raise ApiError(400, f"Invalid filter: unknown field {name!r}")
    return compared(known[name], comparison, value)
