// A DOM widget on a node, created when there is something to show and not saved with the workflow or the prompt. The browser
// draws it, so it looks the same on classic nodes and on Nodes 2.0.
import { api } from '../../../scripts/api.js'
import { app } from '../../../scripts/app.js'

/** Prefix of the categories of this pack. */
export const isOurs = (nodeData) => Boolean(nodeData?.category?.startsWith('8K/'))

/** Return the node of an execution id: "13:2" is node 2 inside the subgraph node 13. */
export function nodeOf(id) {
  let graph = app.rootGraph ?? app.graph
  let node
  for (const part of String(id).split('.')[0].split(':')) {
    node = graph?.getNodeById(part) ?? graph?.getNodeById(Number(part))
    graph = node?.subgraph
  }
  return node
}

/** Create an empty text element with a role for screen readers; the wheel scrolls the text, not the canvas. */
export function paper(role, looks) {
  const element = document.createElement('div')
  element.setAttribute('role', role)
  Object.assign(element.style, {
    boxSizing: 'border-box',
    overflow: 'auto',
    whiteSpace: 'pre-line',
    overflowWrap: 'anywhere',
    borderRadius: '4px',
    userSelect: 'text',
    ...looks
  })
  element.addEventListener('wheel', (event) => event.stopPropagation())
  return element
}

/** Return the box called `name` on `node`; the first time it is created with `make()`. `height` is its minimum. */
export function box(node, name, make, height) {
  const there = node.widgets?.find((one) => one.name === name)
  if (there) return there
  const widget = node.addDOMWidget(name, name, make(), {
    serialize: false, // not sent
    hideOnZoom: false,
    getMinHeight: () => height(),
    getValue: () => '',
    setValue: () => {}
  })
  widget.serialize = false // not saved
  return widget
}

/** Move a box above our other boxes. All follow the last saved widget, so that saved values keep their positions. */
export function raise(node, widget) {
  const others = node.widgets.filter((one) => one !== widget)
  const last = others.findLastIndex((one) => one.serialize !== false)
  node.widgets = [...others.slice(0, last + 1), widget, ...others.slice(last + 1)]
}

const ALTERED = Symbol('altered') // on a node: { size: { from, to }, pos: { from, to } }
const PUSHED = Symbol('pushed') // on a node: the nodes below that it moved
const same = (one, other) => one && other && Math.abs(one[0] - other[0]) < 1 && Math.abs(one[1] - other[1]) < 1

/** Change `size` or `pos` of a node for a box. A saved file has the value of before, unless the user changed it since. */
function alter(node, what, to) {
  if (!node[ALTERED]) {
    const before = node.onSerialize
    node[ALTERED] = {}
    node.onSerialize = function (data) {
      before?.apply(this, arguments)
      for (const [name, { from, to }] of Object.entries(this[ALTERED])) if (same(data[name], to)) data[name] = [...from]
    }
  }
  const now = [...node[what]]
  const known = node[ALTERED][what]
  if (what === 'size') node.setSize(to)
  else node.pos = to
  node[ALTERED][what] = { from: known && same(now, known.to) ? known.from : now, to: [...node[what]] }
}

/** Move the nodes below, and those below them, out of the area that the node grew into. */
function pushBelow(node, bottom) {
  const title = window.LiteGraph.NODE_TITLE_HEIGHT
  const growth = node.pos[1] + node.size[1] - bottom
  if (growth <= 0) return
  for (const other of node.graph?.nodes ?? []) {
    const beside = other.pos[0] >= node.pos[0] + node.size[0] || node.pos[0] >= other.pos[0] + other.size[0]
    const top = other.pos[1] - title
    if (other === node || beside || top < bottom || top >= node.pos[1] + node.size[1] + title) continue
    const itsBottom = other.pos[1] + other.size[1]
    alter(other, 'pos', [other.pos[0], other.pos[1] + growth])
    ;(node[PUSHED] ??= new Set()).add(other)
    pushBelow(other, itsBottom)
  }
}

/** Enlarge the node to fit its boxes; never shrink it. What stands below makes room. */
export function grow(node, width = 0) {
  const bottom = node.pos[1] + node.size[1]
  const [least, height] = node.computeSize()
  alter(node, 'size', [Math.max(node.size[0], least, width), Math.max(node.size[1], height)])
  pushBelow(node, bottom)
  const drawn = node.pos[1] + node.size[1]
  setTimeout(() => pushBelow(node, drawn), 250) // Nodes 2.0 measures the node only after it drew it
  app.graph.setDirtyCanvas(true, true)
}

function pullBack(node) {
  for (const other of node[PUSHED] ?? []) {
    const place = other[ALTERED]?.pos
    if (place && same(other.pos, place.to)) other.pos = [...place.from]
    if (place) delete other[ALTERED].pos
    pullBack(other)
  }
  delete node[PUSHED]
}

/** Remove the box and restore the size of the node, and the places of those that it moved. */
export function removeBox(node, name, size) {
  const widget = node.widgets?.find((one) => one.name === name)
  if (!widget) return
  node.removeWidget(widget)
  if (size) node.setSize(size)
  pullBack(node)
  app.graph.setDirtyCanvas(true, true)
}

const results = [] // functions that show a result on a node

/** Call `show(node, message)` whenever a node of this pack has run, and when its result came back with a tab. */
export function whenRun(name, show) {
  results.push(show)
  app.registerExtension({
    name,
    beforeRegisterNodeDef(nodeType, nodeData) {
      if (!isOurs(nodeData)) return
      const before = nodeType.prototype.onExecuted
      nodeType.prototype.onExecuted = function (message) {
        before?.apply(this, arguments)
        show(this, message ?? {})
      }
    }
  })
}

const store = (name) => document.querySelector('#vue-app')?.__vue_app__?.config.globalProperties.$pinia?._s.get(name)

/** Key of a node in the frontend's records: its id, below a subgraph with the id of that. */
const recordOf = (node) => (node.graph?.isRootGraph === false ? `${node.graph.id}:${node.id}` : String(node.id))

/** Remove the last live preview, which would stay beside a result. Nodes 2.0 keeps it in a store, the classic canvas on the node. */
export function clearPreview(node) {
  node.imgs = undefined
  const preview = node.widgets?.find((one) => one.name === '$$canvas-image-preview')
  if (preview) node.removeWidget(preview)
  store('nodeOutput')?.revokePreviewsByLocatorId?.(recordOf(node))
}

/** Show again what the frontend recorded for the nodes of the graph that was opened. */
function showRecorded() {
  const graphs = [app.rootGraph, ...(app.rootGraph.subgraphs?.values() ?? [])]
  for (const node of graphs.flatMap((graph) => graph.nodes)) {
    const message = isOurs(node.constructor.nodeData) && app.nodeOutputs?.[recordOf(node)]
    if (message) results.forEach((show) => show(node, message))
  }
}

/** Whether a node has the same inputs in both prompts, and so have the nodes that they come from. */
function isSame(prompt, other, id) {
  const [node, twin] = [prompt[id], other[id]]
  if (node?.class_type !== twin?.class_type || JSON.stringify(node.inputs) !== JSON.stringify(twin.inputs)) return false
  return Object.values(node.inputs).every((value) => !Array.isArray(value) || !prompt[value[0]] || isSame(prompt, other, value[0]))
}

/** Tell the page the results that ComfyUI took from its cache: it sends only those of output nodes. */
async function tellCached(promptId, cached) {
  const silent = cached.filter((id) => {
    const node = nodeOf(id)
    return node && isOurs(node.constructor.nodeData) && !app.nodeOutputs?.[recordOf(node)]
  })
  if (!silent.length) return
  const history = await (await api.fetchApi('/history?max_items=64')).json()
  const { output: prompt } = await app.graphToPrompt()
  for (const id of silent) {
    const ran = Object.values(history).findLast((one) => one.outputs[id] && isSame(one.prompt[2], prompt, id))
    const output = ran?.outputs[id]
    if (output) api.dispatchCustomEvent('executed', { node: id, display_node: id, output, prompt_id: promptId })
  }
}

let isWatching = false

/** The outputs of a tab come back after its graph, and no hook of extensions tells when. */
function watchTabs() {
  const outputs = store('nodeOutput')
  if (isWatching || !outputs?.$onAction) return
  isWatching = true
  outputs.$onAction(({ name, after }) => name === 'restoreOutputs' && after(showRecorded))
}

app.registerExtension({
  name: 'Upscale8K.Results',
  setup() {
    let cached = []
    api.addEventListener('execution_cached', ({ detail }) => (cached = detail.nodes))
    api.addEventListener('execution_success', ({ detail }) => void tellCached(detail.prompt_id, cached))
  },
  afterConfigureGraph() {
    watchTabs()
    showRecorded() // undo builds the nodes anew
  }
})

whenRun('Upscale8K.VideoOnNode', (node, message) => {
  if (!message.animated?.some(Boolean)) return
  clearPreview(node) // else the last live preview hides the video
  setTimeout(() => clearPreview(node), 500) // one may still have been on its way
})
