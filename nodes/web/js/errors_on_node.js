// Shows the error and the next step on the node itself. ComfyUI's own window shows a traceback; our errors carry a sentence
// and the next step.
import { api } from '../../../scripts/api.js'
import { app } from '../../../scripts/app.js'
import { box, grow, isOurs, nodeOf, paper, raise, removeBox } from './box_on_node.js'
import { getModel } from './more_models.js'
import { inputWords, say } from './words.js'

const BOX = 'upscale8k_problem'
const HEIGHT = 76 // pixels
const LOOKS = { padding: '6px 8px', font: '12px/1.35 sans-serif', color: '#fff', background: '#7a1f1f' }
const OUR_ERRORS = /\.runtime\.errors\.\w+$/
const complaints = new Map() // node: the size it had before

function complain(node, text) {
  if (!complaints.has(node)) complaints.set(node, [...node.size])
  const widget = box(node, BOX, () => paper('alert', LOOKS), () => HEIGHT)
  widget.element.textContent = text
  const model = text.includes('models pull') && node.comfyClass === 'UpscaleModel'
  if (model) {
    const onclick = () => void getModel(node)
    widget.element.append(Object.assign(document.createElement('button'), { textContent: say('Download'), onclick }))
  }
  raise(node, widget)
  grow(node, 320)
  if (node.graph === app.canvas.graph) return
  const summary = node.title // inside a subgraph that is closed
  app.extensionManager.toast.add({ severity: 'error', summary, detail: text, life: 20000 })
}

function forget() {
  for (const [node, size] of complaints) removeBox(node, BOX, size)
  complaints.clear()
}

/** Return ComfyUI's error about one input as a sentence, with the tooltip of the input. */
function sentence(node, error) {
  const { input_name: input, received_value: value, input_config: config } = error.extra_info ?? {}
  const declared = node.constructor.nodeData?.input ?? {}
  const [, options = {}] = declared.required?.[input] ?? declared.optional?.[input] ?? config ?? []
  const { name = input, tooltip = options.tooltip } = inputWords(node.comfyClass, input)
  const more = tooltip ? ` ${tooltip}` : ''
  switch (error.type) {
    case 'custom_validation_failed': {
      const offered = node.comfyClass === 'UpscaleModel' ? `\n${say('Or choose the last entry of the list: Get more models…')}` : ''
      return error.details.replace(`${input} - `, '') + offered
    }
    case 'required_input_missing':
      return say('Nothing is connected to {name}.', { name }) + more
    case 'value_smaller_than_min':
    case 'value_bigger_than_max':
      return say('{name} is {value}; it may be {min} to {max}.', { name, value, min: options.min, max: options.max })
    default:
      return `${name ?? ''}: ${error.message}. ${error.details ?? ''}`
  }
}

function complainOfInputs(nodeErrors) {
  for (const [id, { errors }] of Object.entries(nodeErrors ?? {})) {
    const node = nodeOf(id)
    if (node && isOurs(node.constructor.nodeData)) {
      complain(node, [...new Set(errors.map((error) => sentence(node, error)))].join('\n'))
    }
  }
}

app.registerExtension({
  name: 'Upscale8K.ErrorsOnNode',
  setup() {
    const queuePrompt = api.queuePrompt
    api.queuePrompt = async function () {
      forget()
      try {
        const answer = await queuePrompt.apply(this, arguments)
        complainOfInputs(answer?.node_errors)
        return answer
      } catch (error) {
        complainOfInputs(error?.response?.node_errors)
        throw error
      }
    }
    api.addEventListener('execution_error', ({ detail }) => {
      const node = nodeOf(detail.node_id)
      if (node && OUR_ERRORS.test(detail.exception_type)) complain(node, detail.exception_message.trim())
    })
  }
})
