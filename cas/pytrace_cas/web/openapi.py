# SPDX-License-Identifier: Apache-2.0
"""The API's description (OpenAPI 3.1): what `/api/v1/openapi.json` answers, and what tests hold the API against."""

from __future__ import annotations

from typing import Any

from pytrace_cas import __version__
from pytrace_cas.digest import FUNCTIONS
from pytrace_cas.web.searching import OUTCOMES

CODES = {
    400: "invalid_request",
    401: "unauthenticated",
    403: "not_permitted",
    404: "not_found",
    405: "method_not_allowed",
    413: "too_large",
    500: "failed",
    503: "busy",
}
"""What an error is called, by its status."""

DIGEST = r"^[0-9a-f]{32,128}-(0|[1-9][0-9]{0,17})$"
_PATH = "A path that is read or written: relative to the root, absolute, a glob, or a folder with / at its end."
_TEXT: dict[str, Any] = {"type": "string"}
_COUNT: dict[str, Any] = {"type": "integer", "minimum": 0}
_FLAG: dict[str, Any] = {"type": "boolean"}


def description() -> dict[str, Any]:
    """The whole description."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "pytrace-cas",
            "version": __version__,
            "summary": "What is in a cache: actions, what they depend on, what they made.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": {path: {"get": operation} for path, operation in _operations()},
        "components": {"schemas": _SCHEMAS, "securitySchemes": _SECURITY},
        "security": [{}, {"basic": []}, {"bearer": []}],
    }


def _operations() -> list[tuple[str, dict[str, Any]]]:
    blob = [
        _part("function", {"enum": list(FUNCTIONS)}),
        _part("digest", {"type": "string", "pattern": DIGEST}),
        INSTANCE,
    ]
    pair = [
        INSTANCE,
        _query("function", {"enum": list(FUNCTIONS), "default": "sha256"}, "Digest function of both."),
        _query("a", {"type": "string", "pattern": DIGEST}, "The old action.", required=True),
        _query("b", {"type": "string", "pattern": DIGEST}, "The new action.", required=True),
    ]
    name = _query("name", _TEXT, "What the file is to be called when it is saved.")
    hours = _query("hours", {"type": "integer", "minimum": 1, "maximum": 2160}, "How far back; a week unless given.")
    path = _query("path", {"type": "string", "minLength": 1, "maxLength": 1000}, _PATH, required=True)
    return [
        ("/api/v1/statistics", _operation("statistics", "How the cache does.", [hours], _ref("Statistics"))),
        ("/api/v1/actions", _operation("actions", "Actions listed.", [*_searched(), *_paged()], _ref("Actions"))),
        ("/api/v1/paths", _operation("paths", "Who used a path.", [path, INSTANCE, *_paged()], _ref("Actions"))),
        (
            "/api/v1/invalidations",
            _operation("invalidations", "What was invalidated.", [INSTANCE], _ref("Invalidations")),
        ),
        ("/api/v1/openapi.json", _operation("description", "This description.", [], {"type": "object"})),
        ("/api/v1/actions/{function}/{digest}", _operation("action", "One action.", blob, _ref("Action"))),
        ("/api/v1/directories/{function}/{digest}", _operation("directory", "A directory.", blob, _ref("Directory"))),
        ("/api/v1/diff", _operation("diff", "Two actions side by side.", pair, _ref("Diff"))),
        ("/api/v1/blobs/{function}/{digest}", _operation("blob", "The bytes of a blob.", [*blob, name], None)),
    ]


def _searched() -> list[dict[str, Any]]:
    what = {
        "filter": "Terms of the grammar of `pytrace ls --filter`.",
        "command": "Part of the command, or a glob that fits all of it.",
        "target": "Part of the target, or a glob that fits all of it.",
        "mnemonic": "The mnemonic, or a glob.",
        "label": "NAME=VALUE, or a name that has any value.",
        "path": _PATH,
    }
    texts = [_query(name, {"type": "string", "maxLength": 1000}, said) for name, said in what.items()]
    return [*texts, _query("outcome", {"enum": list(OUTCOMES)}, "By the exit status."), INSTANCE]


def _paged() -> list[dict[str, Any]]:
    return [
        _query("sort", {"enum": ["time", "size", "hits"], "default": "time"}, "Greatest first."),
        _query("limit", {"type": "integer", "minimum": 1, "maximum": 1000, "default": 50}, "Rows of an answer."),
        _query("cursor", {"type": "string", "pattern": r"^([0-9]{1,18}\.[0-9]{1,18})?$"}, "Go on behind an answer."),
    ]


def _operation(
    name: str, summary: str, parameters: list[dict[str, Any]], answer: dict[str, Any] | None
) -> dict[str, Any]:
    """One GET; its answer is JSON of a schema, or bytes."""
    content: dict[str, Any] = {"application/json": {"schema": answer}} if answer else {"application/octet-stream": {}}
    error = {"application/json": {"schema": _ref("Error")}}
    return {
        "operationId": name,
        "summary": summary,
        "parameters": parameters,
        "responses": {
            "200": {"description": summary, "content": content},
            "default": {"description": "It did not work; `code` says why.", "content": error},
        },
    }


def _ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


def _part(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _query(name: str, schema: dict[str, Any], what: str, *, required: bool = False) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": required, "schema": schema, "description": what}


INSTANCE = _query("instance", _TEXT, "Instance name; the default one has none.")


def _object(required: str, **properties: dict[str, Any]) -> dict[str, Any]:
    """An object that has at least these; further fields may come."""
    return {"type": "object", "required": required.split(), "properties": properties}


def _list(schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": schema}


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    return {"oneOf": [schema, {"type": "null"}]}


_SCHEMA = {"const": 1}
_STATED = {"type": "string", "pattern": r"^[0-9a-f]*/[0-9]+$", "description": "HASH/SIZE"}
_NAMED = _object("name value", name=_TEXT, value=_TEXT)
_SCHEMAS: dict[str, Any] = {
    "Error": _object("schema code message", schema=_SCHEMA, code={"enum": sorted(CODES.values())}, message=_TEXT),
    "Output": _object("kind path", kind=_TEXT, path=_TEXT, digest=_STATED, executable=_FLAG, target=_TEXT),
    "Result": _object(
        "exit_code stdout stderr outputs worker timings",
        exit_code={"type": "integer"},
        stdout=_or_null(_STATED),
        stderr=_or_null(_STATED),
        outputs=_list(_ref("Output")),
        worker=_TEXT,
        timings=_list(_object("step seconds", step=_TEXT, seconds={"type": "number"})),
    ),
    "Statistics": _object(
        "schema size_bytes size_limit_bytes since runs hit_rate reasons server server_hit_rate hours",
        schema=_SCHEMA,
        size_bytes=_COUNT,
        size_limit_bytes=_COUNT,
        hours=_list(_object("time runs hit_rate reasons server server_hit_rate", time=_COUNT, runs={"type": "object"})),
    ),
    "Listed": _object(
        "action digest_function instance kind command",
        action=_STATED,
        digest_function={"enum": list(FUNCTIONS)},
        instance=_TEXT,
        kind={"enum": ["traced", "other", "list"]},
        command=_or_null(_TEXT),
        differs={
            "type": "object",
            "description": "Where `filter` asks for nondeterministic ones: the values of each output that differed.",
            "additionalProperties": _list(_or_null(_TEXT)),
        },
    ),
    "Actions": _object("schema actions cursor", schema=_SCHEMA, actions=_list(_ref("Listed")), cursor=_or_null(_TEXT)),
    "Invalidation": _object(
        "id time by reason scope undone",
        id=_TEXT,
        time=_COUNT,
        by=_TEXT,
        reason=_TEXT,
        scope={"type": "object"},
        undone=_or_null(_object("time by", time=_COUNT, by=_TEXT)),
    ),
    "Invalidations": _object(
        "schema instance invalidations", schema=_SCHEMA, instance=_TEXT, invalidations=_list(_ref("Invalidation"))
    ),
    "Observation": _object("kind", kind=_TEXT, path=_TEXT),
    "Action": _object(
        "schema action digest_function instance command result observations",
        schema=_SCHEMA,
        action=_STATED,
        digest_function={"enum": list(FUNCTIONS)},
        instance=_TEXT,
        command=_or_null(_list(_TEXT)),
        environment=_list(_NAMED),
        platform=_list(_NAMED),
        working_directory=_TEXT,
        output_paths=_list(_TEXT),
        command_digest=_STATED,
        input_root_digest=_STATED,
        do_not_cache=_FLAG,
        result=_or_null(_ref("Result")),
        observations=_or_null(_list(_ref("Observation"))),
        effects=_list(_ref("Observation")),
        unreadable=_TEXT,
    ),
    "Directory": _object(
        "schema directory directories files symlinks",
        schema=_SCHEMA,
        directory=_STATED,
        directories=_list(_object("name digest", name=_TEXT, digest=_STATED)),
        files=_list(_object("name digest executable", name=_TEXT, digest=_STATED, executable=_FLAG)),
        symlinks=_list(_object("name target", name=_TEXT, target=_TEXT)),
    ),
    "Row": _object(
        "letter name old new",
        letter={"enum": ["+", "-", "M", "T", "U"]},
        name=_TEXT,
        old=_or_null(_TEXT),
        new=_or_null(_TEXT),
    ),
    "Reason": _object(
        "code message path old new",
        code=_TEXT,
        message=_TEXT,
        path=_or_null(_TEXT),
        old=_or_null(_TEXT),
        new=_or_null(_TEXT),
        name=_TEXT,
        diff=_list(_TEXT),
    ),
    "Diff": _object(
        "schema first second same reasons groups parts left_out",
        schema=_SCHEMA,
        first=_STATED,
        second=_STATED,
        same=_FLAG,
        reasons=_list(_ref("Reason")),
        groups=_list(_object("group title reasons", group=_TEXT, title=_TEXT, reasons=_list(_ref("Reason")))),
        parts={"type": "object", "additionalProperties": _list(_ref("Row"))},
        left_out=_COUNT,
    ),
}
_SECURITY = {
    "basic": {"type": "http", "scheme": "basic"},
    "bearer": {"type": "http", "scheme": "bearer"},
}
