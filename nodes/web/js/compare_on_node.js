// Source and result under a slider, on the node that made the result. ComfyUI's own compare view exists on Nodes 2.0 only, not
// on the classic canvas; this one works on both.
import { api } from '../../../scripts/api.js'
import { box, grow, whenRun } from './box_on_node.js'
import { say } from './words.js'

const BOX = 'upscale8k_compare'
const HEIGHT = 240 // pixels
const STEP = 5 // percent, for the arrow keys

const style = document.createElement('style')
style.textContent = `
.upscale8k-compare { position: relative; min-height: ${HEIGHT}px; overflow: hidden; border-radius: 4px; background: #111;
  cursor: ew-resize; }
.upscale8k-compare img { position: absolute; inset: 0; width: 100%; height: 100%; object-fit: contain; pointer-events: none; }
.upscale8k-compare .line { position: absolute; top: 0; bottom: 0; width: 2px; margin-left: -1px; background: #fff9; }
.upscale8k-compare .name { position: absolute; top: 4px; padding: 1px 6px; border-radius: 3px; background: #000a; color: #fff;
  font: 11px sans-serif; pointer-events: none; }
.upscale8k-compare button { position: absolute; bottom: 4px; left: 50%; transform: translateX(-50%); padding: 1px 8px;
  border: 0; border-radius: 3px; background: #000a; color: #fff; font: 11px sans-serif; cursor: pointer; }`
document.head.append(style)

const url = (file) => api.apiURL(`/view?${new URLSearchParams(file)}`)

/** Create the slider element. `element.show(pairs)` sets its images. */
function slider() {
  const element = document.createElement('div')
  element.className = 'upscale8k-compare'
  element.tabIndex = 0
  const [before, after] = ['before', 'after'].map((name) => Object.assign(document.createElement('img'), { className: name }))
  const line = Object.assign(document.createElement('div'), { className: 'line' })
  const names = [say('Before'), say('After')].map((text) =>
    Object.assign(document.createElement('span'), { className: 'name', textContent: text })
  )
  names[0].style.left = names[1].style.right = '4px'
  const next = document.createElement('button')
  element.append(after, before, line, ...names, next)

  let position = 50
  let pairs = []
  let shown = 0

  const move = (percent) => {
    position = Math.min(Math.max(percent, 0), 100)
    before.style.clipPath = `inset(0 ${100 - position}% 0 0)`
    line.style.left = `${position}%`
  }
  const turn = (to) => {
    shown = (to + pairs.length) % pairs.length
    const pair = pairs[shown]
    before.src = url(pair.before)
    after.src = url(pair.after)
    const name = pair.whole ? say('Whole image') : say('Detail')
    next.textContent = [name, pair.note, `(${shown + 1}/${pairs.length})`].filter(Boolean).join(' ')
    next.hidden = pairs.length < 2
  }

  element.addEventListener('pointermove', (event) => {
    const area = element.getBoundingClientRect()
    move(((event.clientX - area.left) / area.width) * 100)
  })
  element.addEventListener('keydown', (event) => {
    const way = { ArrowLeft: -STEP, ArrowRight: STEP }[event.key]
    if (!way) return
    move(position + way)
    event.stopPropagation()
  })
  next.title = say('Next image')
  next.addEventListener('click', () => turn(shown + 1))
  element.show = (others) => {
    pairs = others
    turn(0)
  }
  move(position)
  return element
}

/** Remove the last live preview, which would stay beside the slider on the classic canvas. */
function clearPreview(node) {
  node.imgs = undefined
  const preview = node.widgets.find((one) => one.name === '$$canvas-image-preview')
  if (preview) node.removeWidget(preview)
}

whenRun('Upscale8K.CompareOnNode', (node, message) => {
  const pairs = message.upscale8k_compared
  if (!pairs?.length) return
  const widget = box(node, BOX, slider, () => HEIGHT)
  widget.element.show(pairs)
  if (message.images) return grow(node, 320) // what it shows there is its result
  clearPreview(node)
  grow(node, 320)
  setTimeout(() => clearPreview(node), 500) // one may still have been on its way
})
