// A button on the upscale nodes: the server looks at the connected image or video, sets the widgets of this node, of its model and
// of Video In, and says on the node why.
import { api } from '../../../scripts/api.js'
import { app } from '../../../scripts/app.js'
import { showText } from './text_on_node.js'
import { say } from './words.js'

const NODES = { TiledUpscale: 'image', TiledUpscaleVideo: 'video' } // type: the input that it looks at
const FILES = { ImageIn: 'image', LoadImage: 'image', VideoIn: 'video', LoadVideo: 'file' } // type: the widget with the file

const origin = (node, input) => node.getInputNode(node.findInputSlot(input))
const widgetOf = (node, name) => node?.widgets?.find((widget) => widget.name === name)

/** Return the node that reads the file behind an input, through nodes that change it; undefined where there is none. */
function findReader(node, input, seen = new Set()) {
  const before = origin(node, input)
  if (!before || seen.has(before) || FILES[before.constructor.comfyClass]) return before
  seen.add(before)
  const inner = before.inputs?.find((one) => ['IMAGE', 'VIDEO'].includes(one.type) && one.link != null)
  return inner && findReader(before, inner.name, seen)
}

function write(node, values) {
  for (const [name, value] of Object.entries(values ?? {})) {
    const widget = widgetOf(node, name)
    if (!widget) continue
    widget.value = value
    widget.callback?.(value, app.canvas, node)
  }
}

async function tune(node) {
  const type = node.constructor.comfyClass
  const reader = findReader(node, NODES[type])
  const file = widgetOf(reader, FILES[reader?.constructor.comfyClass])?.value
  if (!file) throw new Error(say('Connect Image In or Video In: Tune looks at its file.'))
  const answer = await api.fetchApi('/upscale8k/tune', {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ file })
  })
  const said = await answer.json()
  if (!answer.ok) throw new Error(said.error)
  const model = origin(node, 'upscale_model')
  write(node, said.values[type])
  write(model, said.values[model?.constructor.comfyClass])
  write(reader, said.values[reader.constructor.comfyClass])
  showText(node, said.reasons.join('\n'))
}

app.registerExtension({
  name: 'Upscale8K.TuneOnNode',
  nodeCreated(node) {
    if (!NODES[node.constructor.comfyClass]) return
    const button = node.addWidget('button', 'tune', '', () => {}, { serialize: false })
    button.label = say('Tune')
    button.serialize = false
    button.callback = () => {
      button.disabled = true
      tune(node)
        .catch((error) => showText(node, error.message))
        .finally(() => (button.disabled = false))
    }
  }
})
