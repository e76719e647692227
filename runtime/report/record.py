"""The report for a program: every number of every crop, as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict
from math import isfinite
from typing import Any, cast

from .comparison import Case, Comparison, Contender
from .findings import advice, findings
from .summary import summaries

FORMAT = "upscale8k-comparison-1"


def record(comparison: Comparison) -> str:
    """Strict JSON: what is not finite is null."""
    rows = summaries(comparison)
    by_id = {row.contender.id: row for row in rows}
    content = {
        "format": FORMAT,
        "source": comparison.source,
        "size": str(comparison.size),
        "target": comparison.target,
        "date": comparison.date,
        "machine": comparison.machine,
        "settings": comparison.settings,
        "notes": [*comparison.remarks, *comparison.missing_scores],
        "contenders": [
            {
                **_contender(one),
                "summary": by_id[one.id].as_dict() if one.id in by_id else None,
                "findings": findings(by_id[one.id], rows) if one.id in by_id else [],
            }
            for one in comparison.contenders
        ],
        "crops": [_case(case) for case in comparison.cases],
        "recommendations": [
            {
                "use": one.use.name,
                "model": one.best.contender.id if one.best else None,
                "why": one.why,
                "scores": {row.contender.id: round(score, 4) for row, score in one.scores},
            }
            for one in advice(rows)
        ],
    }
    return json.dumps(_finite(content), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _contender(one: Contender) -> dict[str, Any]:
    return {"id": one.id, "title": one.title, "baseline": one.baseline, "licence": one.licence, "problem": one.problem}


def _case(case: Case) -> dict[str, Any]:
    return {
        "name": case.crop.name,
        "region": asdict(case.crop.region),
        "note": case.crop.note,
        "results": {
            name: {
                "size": f"{result.picture.shape[1]}x{result.picture.shape[0]}",
                "cost": asdict(result.cost) if result.cost else None,
                "drift": result.drift.as_dict(),
                "area_drift": result.area_drift.as_dict(),
                "artifacts": result.artifacts.as_dict(),
                "scores": result.scores.values,
            }
            for name, result in case.results.items()
        },
    }


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _finite(inner) for key, inner in cast("dict[object, object]", value).items()}
    if isinstance(value, (list, tuple)):
        return [_finite(inner) for inner in cast("list[object]", value)]
    return value
