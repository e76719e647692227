"""``report.json``: every number of every crop."""

import json
from dataclasses import asdict
from math import isfinite
from typing import Any, cast

from .comparison import ComparedCrop, ComparedModel, ModelComparison
from .findings import describe_findings, recommend_model
from .summary import summarize_models

FORMAT = "upscale8k-comparison-1"


def render_json(comparison: ModelComparison) -> str:
    """Return the report as strict JSON; numbers that are not finite become null."""
    rows = summarize_models(comparison)
    by_id = {row.model.id: row for row in rows}
    recommended = recommend_model(rows)
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
                **_make_model_entry(one),
                "summary": by_id[one.id].as_dict() if one.id in by_id else None,
                "findings": describe_findings(by_id[one.id], rows) if one.id in by_id else [],
            }
            for one in comparison.models
        ],
        "crops": [_make_crop_entry(case) for case in comparison.crops],
        "recommendations": [
            {
                "use": "this material",
                "model": recommended.best.model.id if recommended.best else None,
                "why": recommended.reason,
                "scores": {row.model.id: round(score, 4) for row, score in recommended.scores},
            }
        ],
    }
    return json.dumps(_replace_nonfinite(content), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _make_model_entry(model: ComparedModel) -> dict[str, Any]:
    return {
        "id": model.id,
        "title": model.title,
        "baseline": model.baseline,
        "licence": model.licence,
        "problem": model.problem,
    }


def _make_crop_entry(compared_crop: ComparedCrop) -> dict[str, Any]:
    return {
        "name": compared_crop.crop.name,
        "region": asdict(compared_crop.crop.region),
        "note": compared_crop.crop.note,
        "results": {
            name: {
                "size": f"{result.image.shape[1]}x{result.image.shape[0]}",
                "cost": asdict(result.cost) if result.cost else None,
                "drift": result.drift.as_dict(),
                "area_drift": result.area_drift.as_dict(),
                "artifacts": result.artifacts.as_dict(),
                "scores": result.scores.values,
                **({"truth": result.fidelity.as_dict()} if result.fidelity else {}),
            }
            for name, result in compared_crop.results.items()
        },
    }


def _replace_nonfinite(value: Any) -> Any:
    if isinstance(value, float):
        return value if isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _replace_nonfinite(inner) for key, inner in cast("dict[object, object]", value).items()}
    if isinstance(value, (list, tuple)):
        return [_replace_nonfinite(inner) for inner in cast("list[object]", value)]
    return value
