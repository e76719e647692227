// A DOM widget on a node, created when there is something to show and not saved with the workflow or the prompt. The browser
// draws it, so it looks the same on classic nodes and on Nodes 2.0.
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

/** Enlarge the node to fit its boxes; never shrink it. */
export function grow(node, width = 0) {
  const [least, height] = node.computeSize()
  node.setSize([Math.max(node.size[0], least, width), Math.max(node.size[1], height)])
  app.graph.setDirtyCanvas(true, true)
}

/** Remove the box and restore the size of the node. */
export function removeBox(node, name, size) {
  const widget = node.widgets?.find((one) => one.name === name)
  if (!widget) return
  node.removeWidget(widget)
  if (size) node.setSize(size)
  app.graph.setDirtyCanvas(true, true)
}

/** Call `show(node, message)` whenever a node of this pack has run. */
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
