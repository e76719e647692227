// The model selector: it lists the installed models, and its last entry opens a window with all models of the catalog. A
// download starts only after the user has confirmed its size, licence and source.
import { api } from '../../../scripts/api.js'
import { app } from '../../../scripts/app.js'
import { say } from './words.js'

const NODE = 'UpscaleModel'
const PROGRESS = 'upscale8k.download'

const megabytes = (bytes) => (bytes == null ? say('unknown size') : `${(bytes / 1e6).toFixed(1)} MB`)

const style = document.createElement('style')
style.textContent = `
.upscale8k-models { width: min(860px, 92vw); max-height: 82vh; margin: auto; padding: 16px; overflow: auto; border-radius: 8px;
  border: 1px solid var(--border-color); background: var(--comfy-menu-bg); color: var(--input-text); font: 13px sans-serif; }
.upscale8k-models::backdrop { background: #0008; }
.upscale8k-models h2 { margin: 0 0 8px; font-size: 16px; }
.upscale8k-models table { width: 100%; border-collapse: collapse; }
.upscale8k-models th { padding: 4px 8px 4px 0; text-align: left; font-weight: 600; }
.upscale8k-models td { padding: 6px 8px 6px 0; border-top: 1px solid var(--border-color); vertical-align: top; }
.upscale8k-models td:nth-child(n + 2) { white-space: nowrap; }
.upscale8k-models small { color: var(--descrip-text); }
.upscale8k-models [role='alert'] { color: var(--error-text); overflow-wrap: anywhere; }
.upscale8k-models button { padding: 3px 10px; border: 1px solid var(--border-color); border-radius: 4px; cursor: pointer;
  background: var(--comfy-input-bg); color: var(--input-text); }
.upscale8k-models button:disabled { cursor: default; opacity: 0.5; }
.upscale8k-models progress { width: 110px; }
.upscale8k-models footer { display: flex; justify-content: space-between; gap: 12px; position: sticky; bottom: -16px;
  margin: 12px 0 -16px; padding: 8px 0 16px; background: var(--comfy-menu-bg); }`
document.head.append(style)

/** Open a window that Escape and a click beside it close. ComfyUI takes the keys of the page, so Escape is ours. */
function show(window, close) {
  window.addEventListener('keydown', (event) => {
    event.stopPropagation()
    if (event.key === 'Escape') close()
  })
  window.addEventListener('click', (event) => event.target === window && close())
  document.body.append(window)
  window.showModal()
}

function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties)
  element.append(...children)
  return element
}

async function ask(path, body) {
  const options = { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) }
  const answer = await api.fetchApi(`/upscale8k/models${path}`, body && options)
  const said = await answer.json()
  if (!answer.ok) throw new Error(said.error)
  return said
}

/** Ask, download, and show the progress in `cell`; call `done()` when it is complete, `failed(why)` when it failed. */
async function download(model, cell, done, failed) {
  const question = say('Download {title}: {size} from {source}, licence {licence}?', {
    ...model,
    size: megabytes(model.bytes)
  })
  const message = say('The file gets its name only after its SHA-256 was verified.')
  if (!(await confirm(question, message))) return
  const bar = make('progress', { max: 1 })
  const stop = make('button', { textContent: say('Stop'), onclick: () => void ask('/stop', { id: model.id }) })
  const before = [...cell.childNodes]
  cell.replaceChildren(bar, ' ', stop)
  const watch = ({ detail }) => {
    if (detail.id === model.id && detail.total) bar.value = detail.here / detail.total
  }
  api.addEventListener(PROGRESS, watch)
  try {
    const said = await ask('/download', { id: model.id, client_id: api.clientId })
    if (said.stopped) cell.replaceChildren(...before)
    else done(said.warning)
  } catch (error) {
    cell.replaceChildren(...before)
    failed(error.message)
  } finally {
    api.removeEventListener(PROGRESS, watch)
  }
}

/** Ask a yes-or-no question in a window above this one. */
function confirm(question, message) {
  return new Promise((resolve) => {
    const window = make('dialog', { className: 'upscale8k-models', style: 'width: min(460px, 90vw)' })
    const answer = (yes) => {
      window.remove()
      resolve(yes)
    }
    const no = make('button', { textContent: say('Cancel'), onclick: () => answer(false) })
    const yes = make('button', { textContent: say('Download'), className: 'yes', onclick: () => answer(true) })
    window.append(make('h2', { textContent: question }), message, make('footer', {}, no, yes))
    window.addEventListener('cancel', () => answer(false))
    show(window, () => answer(false))
  })
}

function row(model, refusal, choose) {
  const state = make('td')
  const remark = make('div', { role: 'alert' })
  const here = (warning = '') => {
    state.replaceChildren(make('button', { textContent: say('Use'), onclick: () => choose(model.id) }))
    remark.textContent = warning
  }
  const failed = (why) => (remark.textContent = why)
  if (model.here) here()
  else {
    const get = make('button', { textContent: say('Download…'), disabled: Boolean(refusal), title: refusal })
    get.onclick = () => void download(model, state, here, failed)
    state.append(get)
  }
  const words = make('small', { textContent: `${model.id}. ${model.good_for}` })
  const what = make('td', {}, make('b', { textContent: model.title }), make('br'), words, remark)
  return make(
    'tr',
    { id: `upscale8k-${model.id}` },
    what,
    make('td', { textContent: `${model.scale}x` }),
    make('td', { textContent: megabytes(model.bytes) }),
    make('td', { textContent: model.licence }),
    state
  )
}

/** Open the window with all models; call `choose(id)` when the user selects an installed one. */
async function open(choose) {
  const { models, folder, refusal } = await ask('')
  const window = make('dialog', { className: 'upscale8k-models' })
  const close = () => window.close()
  const use = (id) => {
    close()
    choose(id)
  }
  const titles = [say('Model'), say('Scale'), say('Size'), say('Licence'), ''].map((textContent) => make('th', { textContent }))
  const table = make('table', {}, make('tr', {}, ...titles), ...models.map((model) => row(model, refusal, use)))
  const where = refusal || say('Downloads go to {folder}.', { folder })
  const leave = make('button', { textContent: say('Close'), onclick: close })
  const footer = make('footer', {}, make('small', { textContent: where }), leave)
  window.append(make('h2', { textContent: say('Models') }), table, footer)
  // Models downloaded meanwhile are now in the list, whatever was clicked.
  window.addEventListener('close', () => {
    window.remove()
    void app.refreshComboInNodes()
  })
  show(window, close)
}

/** Open the window for the model that a node names but that is not here, and ask whether to download it. */
export async function getModel(node) {
  const widget = selectorOf(node)
  await open((id) => void choose(widget, id))
  const wanted = document.getElementById(`upscale8k-${widget.value}`)
  wanted?.scrollIntoView({ block: 'center' })
  wanted?.querySelector('button')?.click()
}

const more = () => say('Get more models…') // no weights file has this name
const selectorOf = (node) => node.widgets?.find((widget) => widget.name === 'model')

async function choose(widget, id) {
  await app.refreshComboInNodes()
  widget.value = id
  app.graph.setDirtyCanvas(true, true)
}

/** Add the last entry; when chosen it keeps the value and opens the window. */
function offer(node) {
  const widget = selectorOf(node)
  const names = widget?.options.values
  if (Array.isArray(names) && !names.includes(more())) widget.options.values = [...names, more()]
}

app.registerExtension({
  name: 'Upscale8K.MoreModels',
  nodeCreated(node) {
    if (node.constructor.comfyClass !== NODE) return
    offer(node)
    const widget = selectorOf(node)
    let value = widget.value // the one before the last entry was chosen
    const configured = node.onConfigure
    node.onConfigure = function () {
      configured?.apply(this, arguments)
      value = widget.value
    }
    const before = widget.callback
    widget.callback = function (chosen) {
      if (chosen !== more()) {
        value = chosen
        return before?.apply(this, arguments)
      }
      widget.value = value
      open((id) => void choose(widget, (value = id))).catch((error) =>
        app.extensionManager.toast.add({ severity: 'error', summary: say('Models'), detail: error.message, life: 15000 })
      )
    }
  },
  // The lists were reloaded.
  refreshComboInNodes() {
    for (const graph of [app.rootGraph, ...(app.rootGraph.subgraphs?.values() ?? [])]) {
      graph.nodes.filter((node) => node.constructor.comfyClass === NODE).forEach(offer)
    }
  }
})
