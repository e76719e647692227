// A button on the report node opens its page in a new tab.
import { api } from '../../../scripts/api.js'
import { app } from '../../../scripts/app.js'
import { whenRun } from './box_on_node.js'
import { say } from './words.js'

const BUTTON = 'upscale8k_report'
const PAGE = 'report.html'

/** Open a report in a new tab, inside a frame that may not act in the name of ComfyUI's page. */
async function open(file) {
  const tab = window.open('', '_blank')
  const answer = await api.fetchApi(`/view?${new URLSearchParams(file)}`)
  const frame = tab.document.createElement('iframe')
  Object.assign(frame.style, { position: 'fixed', inset: '0', width: '100%', height: '100%', border: '0' })
  frame.sandbox = 'allow-scripts allow-popups allow-downloads'
  frame.srcdoc = answer.ok ? await answer.text() : say('The report is not there any more. Run the node again.')
  tab.document.title = PAGE
  tab.document.body.append(frame)
}

whenRun('Upscale8K.ReportOnNode', (node, message) => {
  const file = message.series?.find((one) => one.filename === PAGE)
  if (!file) return
  let button = node.widgets?.find((one) => one.name === BUTTON)
  if (!button) {
    button = node.addWidget('button', BUTTON, '', () => {}, { serialize: false })
    button.label = say('Open report')
    button.serialize = false
  }
  button.callback = () => void open(file)
  app.graph.setDirtyCanvas(true, true)
})
