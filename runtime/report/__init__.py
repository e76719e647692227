"""Compare models on an image: the same crops through each model, measured, shown side by side and described in words.

Every model gets the same pixels and is measured by the same formulas as the baselines, bicubic and Lanczos; a model that cannot
run is a row that says what to do; every sentence follows from a number beside it; text from outside is escaped; the HTML report
is one file without network requests. No model is run here: the upscaler is a function argument.

* ``crop_spec``       parse which crops are requested; light.
* ``crops``           find them: by position, by size, by content.
* ``comparison``      the values: models, their results for each crop, and the cost.
* ``model_runs``      run and measure the models, and the baselines, bicubic and Lanczos.
* ``summary``         the numbers of each model over all crops, and the columns of the tables.
* ``findings``        the numbers in words, and the recommended model.
* ``comparison_sheet``  an image of all results, and one of their differences; ``drawing``: text and scale bars.
* ``report_files`` with ``html_report``, ``json_report``  text, page and data; ``templating`` fills ``*.j2``.
* ``report_files``    write all of them into one folder.
* ``file_metrics``    the metrics of files, folders and videos of any upscaler, and limits for them.
* ``before_after``    small images of a source and its result, for the slider on a node.
"""

# pyright: reportUnusedImport=false

from typing import TYPE_CHECKING

from ..lazy_exports import lazy_exports

if TYPE_CHECKING:
    from .before_after import BeforeAfterPair, SourceSnapshot, VideoFramePairs
    from .comparison import ComparedModel, ModelComparison, UpscaleCost, UpscaledCrop
    from .comparison_sheet import draw_sheet
    from .crop_spec import parse_crop_specs
    from .file_metrics import FileMetrics, Limit, mean_metrics, measure_files, measure_pair
    from .model_runs import BASELINES, Floats, compare_images, compare_models, convert_to_rgb, cut_crops, reduce_originals
    from .report_files import render_markdown, write_report
    from .templating import render_template

__getattr__ = lazy_exports(__name__, __file__)
