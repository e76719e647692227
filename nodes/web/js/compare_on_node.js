// Source and result under a slider, on the node that made the result. ComfyUI's own compare view exists on Nodes 2.0 only, not
// on the classic canvas; this one works on both.
import { api } from '../../../scripts/api.js'
import { box, clearPreview, grow, whenRun } from './box_on_node.js'
import { say } from './words.js'

const BOX = 'upscale8k_compare'
const HEIGHT = 240 // pixels
const STEP = 5 // percent, for the arrow keys
const LARGEST = 16 // times

const style = document.createElement('style')
style.textContent = `
.upscale8k-compare { position: relative; min-height: ${HEIGHT}px; overflow: hidden; border-radius: 4px; background: #111;
  cursor: ew-resize; }
.upscale8k-compare > div, .upscale8k-compare img { position: absolute; inset: 0; width: 100%; height: 100%; pointer-events: none; }
.upscale8k-compare img { object-fit: contain; transform-origin: 0 0; }
.upscale8k-compare .line { position: absolute; top: 0; bottom: 0; width: 2px; margin-left: -1px; background: #fff9; }
.upscale8k-compare .name { position: absolute; top: 4px; padding: 1px 6px; border-radius: 3px; background: #000a; color: #fff;
  font: 11px sans-serif; pointer-events: none; }
.upscale8k-compare button { position: absolute; bottom: 4px; left: 50%; transform: translateX(-50%); padding: 1px 8px;
  border: 0; border-radius: 3px; background: #000a; color: #fff; font: 11px sans-serif; cursor: pointer; }
.upscale8k-compare button.full { left: auto; right: 4px; transform: none; font-family: primeicons; }`
document.head.append(style)

// Nodes 2.0 hands every wheel to the canvas before it reaches the slider, so it is taken first.
window.addEventListener('wheel', (event) => event.target.closest?.('.upscale8k-compare')?.zoom(event), { capture: true, passive: false })

const url = (file) => api.apiURL(`/view?${new URLSearchParams(file)}`)

/** Create the slider element: the wheel zooms where Ctrl is held or the screen is full, a drag moves what is enlarged. `element.show(pairs)` sets its images. */
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
  const full = Object.assign(document.createElement('button'), { className: 'full pi pi-window-maximize', title: say('Full screen') })
  const clip = document.createElement('div')
  clip.append(before)
  element.append(after, clip, line, ...names, next, full)

  let position = 50
  let pairs = []
  let shown = 0

  const move = (percent) => {
    position = Math.min(Math.max(percent, 0), 100)
    clip.style.clipPath = `inset(0 ${100 - position}% 0 0)`
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

  let view = { x: 0, y: 0, zoom: 1 }
  const look = (x, y, zoom) => {
    const { offsetWidth: width, offsetHeight: height } = element
    const inside = (at, length) => Math.min(0, Math.max(at, length * (1 - zoom)))
    view = { x: inside(x, width), y: inside(y, height), zoom }
    for (const image of [before, after]) image.style.transform = `translate(${view.x}px, ${view.y}px) scale(${zoom})`
  }
  element.zoom = (event) => {
    if (!event.ctrlKey && document.fullscreenElement !== element) return // it moves the canvas
    event.preventDefault()
    event.stopPropagation()
    const zoom = Math.min(Math.max(view.zoom * Math.exp(-event.deltaY / 400), 1), LARGEST)
    const area = element.getBoundingClientRect()
    const [x, y] = [
      ((event.clientX - area.left) * element.offsetWidth) / area.width,
      ((event.clientY - area.top) * element.offsetHeight) / area.height
    ]
    look(x - ((x - view.x) * zoom) / view.zoom, y - ((y - view.y) * zoom) / view.zoom, zoom)
  }
  element.addEventListener('pointerdown', (event) => view.zoom > 1 && event.stopPropagation())
  element.addEventListener('pointermove', (event) => {
    const area = element.getBoundingClientRect()
    if (event.buttons === 1 && view.zoom > 1) {
      const scale = element.offsetWidth / area.width
      event.stopPropagation()
      return look(view.x + event.movementX * scale, view.y + event.movementY * scale, view.zoom)
    }
    move(((event.clientX - area.left) / area.width) * 100)
  })
  const toggle = () => (document.fullscreenElement ? document.exitFullscreen() : element.requestFullscreen())
  full.addEventListener('click', () => void toggle())
  element.addEventListener('dblclick', () => void toggle())
  element.addEventListener('fullscreenchange', () => look(0, 0, 1))
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
