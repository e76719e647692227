// Shows the text that a node of ours gives with its result (`ui.text`) on the node itself: the table of HW Probe, verdicts of
// the metrics. The box appears with the first text, is read only, and is no part of the saved workflow or of the prompt.
import { app } from '../../../scripts/app.js'
import { ComfyWidgets } from '../../../scripts/widgets.js'

const BOX = 'upscale8k_text'

function box(node) {
  const there = node.widgets?.find((one) => one.name === BOX)
  if (there) return there
  const { widget } = ComfyWidgets.STRING(node, BOX, ['STRING', { multiline: true }], app)
  widget.serialize = false // not saved
  widget.options.serialize = false // not sent
  const area = widget.inputEl ?? widget.element
  area.readOnly = true
  area.wrap = 'off'
  Object.assign(area.style, { fontFamily: 'monospace', fontSize: '10px', whiteSpace: 'pre', overflow: 'auto' })
  return widget
}

function show(node, text) {
  const widget = box(node)
  widget.value = text
  const lines = text.split('\n')
  const columns = Math.max(...lines.map((line) => line.length))
  const [width, height] = node.computeSize()
  const wanted = [Math.min(40 + columns * 6.2, 720), height + Math.min(lines.length * 11.5 + 8, 420)]
  node.setSize([Math.max(node.size[0], width, wanted[0]), Math.max(node.size[1], wanted[1])])
  app.graph.setDirtyCanvas(true, true)
}

app.registerExtension({
  name: 'Upscale8K.TextOnNode',
  beforeRegisterNodeDef(nodeType, nodeData) {
    if (!nodeData.category?.startsWith('8K/')) return
    const before = nodeType.prototype.onExecuted
    nodeType.prototype.onExecuted = function (message) {
      before?.apply(this, arguments)
      if (message?.text?.length) show(this, message.text.join('\n'))
    }
  }
})
