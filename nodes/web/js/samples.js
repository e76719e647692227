// The shipped workflows name samples; those that the input folder lacks are copied there before the workflow is opened.
import { api } from '../../../scripts/api.js'
import { app } from '../../../scripts/app.js'

const SAMPLE = /^sample(_%05d|_\d{5})?\.(png|mp4)$/

const values = (node) => (Array.isArray(node.widgets_values) ? node.widgets_values : Object.values(node.widgets_values ?? {}))

app.registerExtension({
  name: 'Upscale8K.Samples',
  async beforeConfigureGraph({ nodes = [] }) {
    if (!nodes.flatMap(values).some((value) => SAMPLE.test(value))) return
    const answer = await api.fetchApi('/upscale8k/samples', { method: 'POST' }).catch(() => undefined)
    if (answer?.ok && (await answer.json()).copied.length) await app.refreshComboInNodes()
  }
})
