// Frame number, speed, time left, and the messages of the engine, below the bar on the node. When the node is done, only the
// messages stay.
import { api } from '../../../scripts/api.js'
import { box, grow, nodeOf, paper, raise, removeBox } from './box_on_node.js'
import { say } from './words.js'

const BOX = 'upscale8k_progress'
const TOLD = 'upscale8k.progress'
const LINE = 16 // pixels
const HIGHEST = 110
const COLUMN = 50 // characters in a line, about
const LOOKS = {
  padding: '4px 8px',
  font: `12px/${LINE}px sans-serif`,
  color: 'var(--input-text)',
  background: 'var(--comfy-input-bg)'
}
const PATIENCE = 1 // seconds; a node that is done sooner shows nothing

const working = new Map() // node: { id, said, grown }, from its first message until it runs again

function clock(seconds) {
  const [hours, minutes, rest] = [seconds / 3600, (seconds / 60) % 60, seconds % 60].map(Math.floor)
  const two = (number) => String(number).padStart(2, '0')
  return hours ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`
}

/** Format the progress as a line; a total of 0 is unknown. Frames of an earlier run (`resumed`) do not count for the speed. */
function line({ unit, done, total, seconds, resumed = 0, reused = 0, bytes = 0 }) {
  const made = done - resumed
  const each = made > 0 ? seconds / made : 0
  const many = total ? `${Math.floor((100 * done) / total)} %` : String(done)
  const parts = [unit === 'frame' ? say('Frame {done} of {total}', { done, total: total || '?' }) : many]
  if (each && done < total) parts.push(say('{time} left', { time: clock(each * (total - done)) }))
  if (each && unit === 'frame') {
    if (each > 1) parts.push(say('{seconds} s per frame', { seconds: each.toPrecision(3) }))
    else parts.push(say('{number} frames per second', { number: (1 / each).toPrecision(3) }))
  }
  if (reused) parts.push(say('{number} repeated frames', { number: reused }))
  if (bytes) parts.push(`${(bytes / 1e6).toFixed(1)} MB`)
  return parts.join(' · ')
}

function show(node, lines) {
  const state = working.get(node)
  const rows = lines.reduce((sum, one) => sum + Math.ceil(one.length / COLUMN), 0)
  const wanted = Math.min(rows * LINE + 10, HIGHEST)
  const height = () => node.widgets.find((one) => one.name === BOX)?.rows ?? wanted
  const widget = box(node, BOX, () => paper('status', LOOKS), height)
  widget.options.getMaxHeight = height // what is left over belongs to images
  if (!state.grown) raise(node, widget)
  widget.element.textContent = lines.join('\n')
  if (wanted <= (widget.rows ?? 0)) return
  widget.rows = wanted // it grows with what is said, and does not jump
  const before = node.size[1]
  grow(node, 320)
  state.grown += node.size[1] - before
}

function hide(node) {
  const { grown } = working.get(node)
  removeBox(node, BOX, [node.size[0], node.size[1] - grown])
}

api.addEventListener(TOLD, ({ detail }) => {
  const node = nodeOf(detail.node)
  if (!node) return
  if (!working.has(node)) working.set(node, { id: detail.node, said: new Set(), grown: 0 })
  const { said } = working.get(node)
  detail.said.forEach((text) => said.add(text))
  if (detail.seconds >= PATIENCE || said.size) show(node, [line(detail), ...said])
})

/** Another node runs, or none: the earlier ones are done. Text that a node shows as its result is not repeated. */
function settle(running) {
  for (const [node, { id, said, grown }] of working) {
    if (String(id) === String(running)) {
      hide(node)
      working.delete(node)
    } else if (grown) {
      const table = node.widgets.find((one) => one.name === 'upscale8k_text')?.element.textContent ?? ''
      const left = [...said].filter((text) => !table.includes(text))
      if (left.length) show(node, left)
      else {
        hide(node)
        working.delete(node)
      }
    }
  }
}

api.addEventListener('executing', ({ detail }) => settle(detail))
for (const end of ['execution_error', 'execution_interrupted']) api.addEventListener(end, () => settle(null))
