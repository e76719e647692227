// A box of ours on a node: made when there is something to show, no part of the saved workflow or of the prompt. It is drawn
// by the browser, so it looks the same on classic nodes and on Nodes 2.0.
import { app } from '../../../scripts/app.js'

/** The nodes of this pack are in categories that begin so. */
export const isOurs = (nodeData) => Boolean(nodeData?.category?.startsWith('8K/'))

/** The node of an execution id: "13:2" is node 2 inside the subgraph node 13. */
export function nodeOf(id) {
  let graph = app.rootGraph ?? app.graph
  let node
  for (const part of String(id).split('.')[0].split(':')) {
    node = graph?.getNodeById(part) ?? graph?.getNodeById(Number(part))
    graph = node?.subgraph
  }
  return node
}

/** An empty sheet for words in a box, with a role for screen readers; the wheel scrolls the words, not the canvas. */
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

/** The box called `name` on `node`, with `make()` in it the first time. `height` is the least it takes. */
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

/** Put a box above our other boxes. They all stand behind the last saved widget, so that saved values keep their places. */
export function raise(node, widget) {
  const others = node.widgets.filter((one) => one !== widget)
  const last = others.findLastIndex((one) => one.serialize !== false)
  node.widgets = [...others.slice(0, last + 1), widget, ...others.slice(last + 1)]
}

/** Make the node as large as its boxes need, never smaller than it is. */
export function grow(node, width = 0) {
  const [least, height] = node.computeSize()
  node.setSize([Math.max(node.size[0], least, width), Math.max(node.size[1], height)])
  app.graph.setDirtyCanvas(true, true)
}

/** Take the box away, and give the node the size it had before. */
export function removeBox(node, name, size) {
  const widget = node.widgets?.find((one) => one.name === name)
  if (!widget) return
  node.removeWidget(widget)
  if (size) node.setSize(size)
  app.graph.setDirtyCanvas(true, true)
}

/** Call `show(node, message)` whenever a node of ours has run. */
export function whenRun(name, show) {
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
