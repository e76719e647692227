"""What a person reads on the real canvas: the help page of each node in the side panel, and text on the node itself."""

import re

import pytest

from .peer.canvas import Canvas
from .peer.server import ComfyUI

pytestmark = pytest.mark.comfyui

STORE = "document.querySelector('#vue-app').__vue_app__.config.globalProperties.$pinia._s.get(id)"
# The panel offers a tab only for what is selected, and hears of a selection with the next drawing of the page.
OPEN = f"""(async (node) => {{
  const store = (id) => {STORE}
  window.app.canvas.selectItems([window.app.rootGraph.getNodeById(node)])
  store('canvas').updateSelectedItems()
  await new Promise(requestAnimationFrame)
  store('rightSidePanel').openPanel('info')
}})(value)"""
PAGE = "document.querySelector('.node-help-content .markdown-content')"
TITLE = f"{PAGE}?.querySelector('h1')?.innerText"
READ = f"""(() => ({{
  sections: [...{PAGE}.querySelectorAll('h2')].map((one) => one.innerText),
  lists: [...{PAGE}.querySelectorAll('li > strong > code')]
    .filter((one) => one.parentElement.innerText === one.innerText)
    .map((one) => one.innerText),
  broken: [...{PAGE}.querySelectorAll('img')].filter((one) => one.complete && !one.naturalWidth).map((one) => one.src),
}}))()"""
LOADED = f"[...{PAGE}.querySelectorAll('img')].every((one) => one.complete)"
TEXT = "window.app.rootGraph.getNodeById(value).widgets.find((one) => one.name === 'upscale8k_text')?.element.textContent ?? ''"


def is_about_us(said: str, comfyui: ComfyUI) -> bool:
    """Whether a warning on the console is about this pack. It is the only one, so what ComfyUI says of packs is, too."""
    signs = (comfyui.pack_name, "upscale8k", "[ComfyUI Notice]", "[ComfyUI Deprecated]", "intlify")
    return any(sign.lower() in said.lower() for sign in signs)


def test_every_node_is_found_in_the_search_box_and_its_help_page_opens(comfyui: ComfyUI, canvas: Canvas) -> None:
    ours = {name: info for name, info in comfyui.object_info().items() if info["category"].startswith("8K/")}
    assert ours
    for node_id, info in ours.items():
        node = canvas.search(info["search_aliases"][0], info["display_name"])
        assert canvas._ask("window.app.rootGraph.getNodeById(value).type", node) == node_id
        canvas._ask(OPEN, node)
        canvas._await(f"{TITLE} === value", info["display_name"])
        canvas._await(LOADED)
        page = canvas._ask(READ)
        assert page["sections"] == ["Inputs", "Outputs", "Example", "Common mistakes"], node_id
        declared = [name for names in info["input_order"].values() for name in names]
        inputs = [name for name in declared if name not in info["input_order"].get("hidden", [])]
        assert page["lists"] == [*inputs, *info["output_name"]], node_id
        assert page["broken"] == [], node_id
        canvas._ask("peer.remove(value)", node)
    assert canvas.errors() == []
    assert [said for said in canvas.console() if is_about_us(said, comfyui)] == []


def test_hw_probe_shows_its_table_on_the_node_and_keeps_it_out_of_the_prompt(canvas: Canvas) -> None:
    node = canvas.add("HWProbe")
    before = canvas.to_prompt()
    entry = canvas.queue()
    canvas._await(f"{TEXT}.length > 0", node)
    shown = canvas._ask(TEXT, node)
    assert shown == entry["outputs"][str(node)]["text"][0]
    assert re.search(r"^tile_size +\d+ ", shown, re.MULTILINE)
    assert canvas.to_prompt() == before
    assert shown not in str(canvas.save())
    assert canvas.errors() == []


@pytest.mark.parametrize(("language", "title"), [("de", "Bild einlesen"), ("ja", "画像入力"), ("zh", "图像输入")])
def test_comfyui_finds_the_translations(language: str, title: str, comfyui: ComfyUI) -> None:
    told = comfyui._ask_json("/i18n")
    assert told[language]["nodeDefs"]["ImageIn"]["display_name"] == title
    assert told["en"]["nodeDefs"]["ImageIn"]["display_name"] == "Image In"
