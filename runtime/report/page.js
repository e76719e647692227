"use strict";
(() => {
  const $ = (id) => document.getElementById(id);
  const stage = $("stage");
  if (stage) viewer();
  for (const head of document.querySelectorAll("th button")) head.addEventListener("click", () => sort(head.parentElement));

  function viewer() {
    const left = $("left"), right = $("right"), crop = $("crop"), handle = $("handle"), panes = [$("left-pane"), $("right-pane")];
    const state = { share: 0.5, zoom: 0, x: 0, y: 0, maps: false };
    const pictures = () => panes.map((pane) => pane.firstElementChild);
    const stored = (choice) => {
      const kind = state.maps && choice.value !== "source" ? "map" : "pic";
      return $(`${kind}-${crop.value}-${choice.value}`);
    };

    function show() {
      [left, right].forEach((choice, side) => {
        const from = stored(choice), image = pictures()[side];
        image.src = from.src;
        image.alt = from.alt;
        image.dataset.width = from.dataset.width;
        image.dataset.height = from.dataset.height;
        $(side ? "right-tag" : "left-tag").textContent = choice.selectedOptions[0].textContent;
      });
      for (const strip of document.querySelectorAll(".strip")) {
        strip.hidden = strip.dataset.crop !== crop.value;
        if (!strip.hidden) $("scale").textContent = strip.dataset.scale;
      }
      $("scale").hidden = !state.maps;
      for (const thumb of document.querySelectorAll(".thumb")) thumb.setAttribute("aria-pressed", String(thumb.dataset.name === right.value));
      place();
    }

    function frame() {
      const one = stored(right), box = stage.getBoundingClientRect();
      const width = Number(one.dataset.width), height = Number(one.dataset.height);
      const fit = Math.min(box.width / width, box.height / height);
      return { box, width, height, scale: state.zoom ? state.zoom / (window.devicePixelRatio || 1) : fit };
    }

    function place() {
      const { box, width, height, scale } = frame();
      const wide = width * scale, high = height * scale;
      state.x = wide <= box.width ? (box.width - wide) / 2 : Math.min(0, Math.max(box.width - wide, state.x));
      state.y = high <= box.height ? (box.height - high) / 2 : Math.min(0, Math.max(box.height - high, state.y));
      for (const image of pictures()) {
        image.style.width = `${wide}px`;
        image.style.height = `${high}px`;
        image.style.transform = `translate(${state.x}px, ${state.y}px)`;
        image.classList.toggle("coarse", wide * (window.devicePixelRatio || 1) > 1.5 * image.naturalWidth);
      }
      const cut = box.width * state.share;
      panes[0].style.clipPath = `inset(0 ${box.width - cut}px 0 0)`;
      handle.style.left = `${cut}px`;
      handle.setAttribute("aria-valuenow", String(Math.round(100 * state.share)));
      for (const button of document.querySelectorAll("[data-zoom]")) button.setAttribute("aria-pressed", String(Number(button.dataset.zoom) === state.zoom));
    }

    function zoom(to, x, y) {
      const before = frame();
      const atX = (x - state.x) / before.scale, atY = (y - state.y) / before.scale;
      state.zoom = to;
      const { scale } = frame();
      state.x = x - atX * scale;
      state.y = y - atY * scale;
      place();
    }

    function cutAt(event) {
      const box = stage.getBoundingClientRect();
      state.share = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
      place();
    }

    let drag = null;
    stage.addEventListener("pointerdown", (event) => {
      const onHandle = event.target === handle;
      drag = { cut: onHandle || !state.zoom, x: event.clientX - state.x, y: event.clientY - state.y };
      stage.setPointerCapture(event.pointerId);
      stage.classList.add("dragging");
      if (drag.cut) cutAt(event);
    });
    stage.addEventListener("pointermove", (event) => {
      if (!drag) return;
      if (drag.cut) return cutAt(event);
      state.x = event.clientX - drag.x;
      state.y = event.clientY - drag.y;
      place();
    });
    for (const end of ["pointerup", "pointercancel"]) stage.addEventListener(end, () => { drag = null; stage.classList.remove("dragging"); });
    stage.addEventListener("wheel", (event) => {
      event.preventDefault();
      const steps = [0, 1, 2, 4, 8], box = stage.getBoundingClientRect();
      const next = Math.min(steps.length - 1, Math.max(0, steps.indexOf(state.zoom) + (event.deltaY < 0 ? 1 : -1)));
      zoom(steps[next], event.clientX - box.left, event.clientY - box.top);
    }, { passive: false });
    handle.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -0.02, ArrowRight: 0.02, Home: -1, End: 1 }[event.key];
      if (!step) return;
      event.preventDefault();
      state.share = Math.min(1, Math.max(0, state.share + step));
      place();
    });
    for (const button of document.querySelectorAll("[data-zoom]")) {
      button.addEventListener("click", () => {
        const { box } = frame();
        zoom(Number(button.dataset.zoom), box.width / 2, box.height / 2);
      });
    }
    for (const choice of [left, right, crop]) choice.addEventListener("change", show);
    for (const thumb of document.querySelectorAll(".thumb")) {
      thumb.addEventListener("click", (event) => { (event.shiftKey ? left : right).value = thumb.dataset.name; show(); });
    }
    $("swap").addEventListener("click", () => { [left.value, right.value] = [right.value, left.value]; show(); });
    $("maps").addEventListener("click", () => { state.maps = !state.maps; $("maps").setAttribute("aria-pressed", String(state.maps)); show(); });
    for (const image of pictures()) image.addEventListener("load", place);
    window.addEventListener("resize", place);
    show();
  }

  function sort(head) {
    const body = head.closest("table").tBodies[0], column = head.cellIndex, up = head.getAttribute("aria-sort") !== "ascending";
    for (const other of head.parentElement.cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const value = (row) => row.cells[column] && row.cells[column].dataset.value;
    const rows = [...body.rows].sort((a, b) => {
      const [first, second] = [value(a), value(b)];
      if (first === undefined || second === undefined || first === "" || second === "") return (first ? 0 : 1) - (second ? 0 : 1);
      const order = isNaN(first) ? first.localeCompare(second) : Number(first) - Number(second);
      return up ? order : -order;
    });
    body.append(...rows);
  }
})();
