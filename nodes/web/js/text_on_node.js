// Shows the text of a result (`ui.text`) on the node itself: the table of HW Probe, the verdicts of the metrics.
import { box, grow, whenRun } from './box_on_node.js'

const BOX = 'upscale8k_text'
const LINE = 11.5 // pixels
const COLUMN = 6.2
const WIDEST = 720
const HIGHEST = 420
const PROSE = 380 // as wide as sentences make the node; a table is as wide as its lines

function paper() {
  const element = document.createElement('pre')
  element.tabIndex = 0 // so that it can be scrolled by keys
  Object.assign(element.style, {
    margin: '0',
    maxHeight: `${HIGHEST}px`,
    padding: '4px',
    boxSizing: 'border-box',
    overflow: 'auto',
    overflowWrap: 'anywhere',
    font: `10px/${LINE}px monospace`,
    color: 'var(--input-text)',
    background: 'var(--comfy-input-bg)',
    userSelect: 'text'
  })
  element.addEventListener('wheel', (event) => event.stopPropagation()) // scrolls the text, not the canvas
  return element
}

/** Show `text` on `node`, in place of what is there. */
export function showText(node, text) {
  const lines = text.split('\n')
  const isTable = /\S {2,}\S/.test(text) // columns
  const longest = 40 + Math.max(...lines.map((line) => line.length)) * COLUMN
  const width = Math.min(longest, isTable ? WIDEST : PROSE)
  const filled = 0.7 * (width - 40) // of a line, as words break
  const rows = isTable ? lines.length : lines.reduce((sum, line) => sum + Math.ceil((line.length * COLUMN) / filled), 0)
  const widget = box(node, BOX, paper, () => 0)
  widget.options.getMinHeight = () => Math.min(rows * LINE + 12, HIGHEST)
  widget.element.style.whiteSpace = isTable ? 'pre' : 'pre-wrap'
  widget.element.textContent = text
  grow(node, width)
}

whenRun('Upscale8K.TextOnNode', (node, message) => {
  if (message.text?.length) showText(node, message.text.join('\n'))
})
